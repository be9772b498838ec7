#include "trainer/encoding/protobuf.h"

#include <bit>

#include "trainer/encoding/little_endian.h"

namespace lockstep {

void ProtobufMessage::integer(int field, std::int64_t value) {
  tag(field, Wire::varint);
  varint(static_cast<std::uint64_t>(value));
}

void ProtobufMessage::real(int field, float value) {
  tag(field, Wire::four_bytes);
  append_little_endian(encoded_, std::bit_cast<std::uint32_t>(value));
}

void ProtobufMessage::real(int field, double value) {
  tag(field, Wire::eight_bytes);
  append_little_endian(encoded_, std::bit_cast<std::uint64_t>(value));
}

void ProtobufMessage::reals(int field, std::span<const double> values) {
  tag(field, Wire::length_delimited);
  varint(values.size_bytes());
  for (const double value : values) append_little_endian(encoded_, std::bit_cast<std::uint64_t>(value));
}

void ProtobufMessage::bytes(int field, std::string_view value) {
  tag(field, Wire::length_delimited);
  varint(value.size());
  encoded_ += value;
}

void ProtobufMessage::tag(int field, Wire wire) {
  varint(static_cast<std::uint64_t>(field) << 3U | static_cast<std::uint64_t>(wire));
}

// Seven bits a byte, lowest first; the eighth says that more follow.
void ProtobufMessage::varint(std::uint64_t value) {
  for (; value > 0x7F; value >>= 7U) encoded_ += static_cast<char>((value & 0x7FU) | 0x80U);
  encoded_ += static_cast<char>(value);
}

}  // namespace lockstep
