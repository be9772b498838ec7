#include "trainer/export/protobuf.h"

#include <bit>

namespace lockstep {

void ProtobufMessage::integer(int field, std::int64_t value) {
  tag(field, Wire::varint);
  varint(static_cast<std::uint64_t>(value));
}

void ProtobufMessage::real(int field, float value) {
  tag(field, Wire::four_bytes);
  const auto bits = std::bit_cast<std::uint32_t>(value);
  for (unsigned shift = 0; shift < 32; shift += 8) encoded_ += static_cast<char>((bits >> shift) & 0xFFU);
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
