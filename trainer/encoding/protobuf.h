#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace lockstep {

// A message of Protocol Buffers, written field by field. https://protobuf.dev/programming-guides/encoding
class ProtobufMessage {
 public:
  void integer(int field, std::int64_t value);
  void real(int field, float value);
  void real(int field, double value);
  void reals(int field, std::span<const double> values);  // packed
  // Text, raw bytes, or another message.
  void bytes(int field, std::string_view value);
  void message(int field, const ProtobufMessage& value) { bytes(field, value.encoded_); }

  const std::string& encoded() const { return encoded_; }

 private:
  enum class Wire : std::uint8_t { varint = 0, eight_bytes = 1, length_delimited = 2, four_bytes = 5 };
  void tag(int field, Wire wire);
  void varint(std::uint64_t value);

  std::string encoded_;
};

}  // namespace lockstep
