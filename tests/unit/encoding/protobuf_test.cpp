#include "trainer/encoding/protobuf.h"

#include <gmock/gmock.h>

#include <array>

namespace lockstep {
namespace {

std::string bytes(std::initializer_list<int> values) {
  std::string text;
  for (const int value : values) text += static_cast<char>(value);
  return text;
}

// The examples of the format's own documentation.
TEST(Protobuf, IsEncodedAsItsDocumentationSays) {
  ProtobufMessage inner;
  inner.integer(1, 150);
  EXPECT_EQ(inner.encoded(), bytes({0x08, 0x96, 0x01}));

  ProtobufMessage text;
  text.bytes(2, "testing");
  EXPECT_EQ(text.encoded(), bytes({0x12, 0x07}) + "testing");

  ProtobufMessage outer;
  outer.message(3, inner);
  EXPECT_EQ(outer.encoded(), bytes({0x1A, 0x03, 0x08, 0x96, 0x01}));
}

TEST(Protobuf, EdgesOfNumbers) {
  ProtobufMessage message;
  message.integer(1, 0);
  message.integer(1, 127);
  message.integer(1, 128);
  EXPECT_EQ(message.encoded(), bytes({0x08, 0x00, 0x08, 0x7F, 0x08, 0x80, 0x01}));

  ProtobufMessage negative;
  negative.integer(1, -2);
  EXPECT_EQ(negative.encoded(), bytes({0x08, 0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01}));

  ProtobufMessage real;
  real.real(1, -1.5F);  // 0xBFC00000
  EXPECT_EQ(real.encoded(), bytes({0x0D, 0x00, 0x00, 0xC0, 0xBF}));

  ProtobufMessage wide;
  wide.real(1, -1.5);  // 0xBFF8000000000000
  EXPECT_EQ(wide.encoded(), bytes({0x09, 0, 0, 0, 0, 0, 0, 0xF8, 0xBF}));
}

TEST(Protobuf, RepeatedNumbersArePacked) {
  ProtobufMessage message;
  const std::array values{1.0, -1.5};
  message.reals(6, values);
  EXPECT_EQ(message.encoded(), bytes({0x32, 16, 0, 0, 0, 0, 0, 0, 0xF0, 0x3F, 0, 0, 0, 0, 0, 0, 0xF8, 0xBF}));
}

TEST(Protobuf, ALargeFieldNumberTakesTwoBytes) {
  ProtobufMessage message;
  message.bytes(16, "");
  EXPECT_EQ(message.encoded(), bytes({0x82, 0x01, 0x00}));
}

}  // namespace
}  // namespace lockstep
