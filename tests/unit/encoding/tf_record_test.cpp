#include "trainer/encoding/tf_record.h"

#include <gtest/gtest.h>

#include <numeric>

namespace lockstep {
namespace {

TEST(Crc32c, IsThatOfItsDefinition) {
  // RFC 3720, appendix B.4, and the check value of the catalogues.
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAU);
  EXPECT_EQ(crc32c(std::string(32, '\xFF')), 0x62A8AB43U);
  std::string rising(32, '\0');
  std::iota(rising.begin(), rising.end(), '\0');
  EXPECT_EQ(crc32c(rising), 0x46DD794EU);
  EXPECT_EQ(crc32c("123456789"), 0xE3069283U);
  EXPECT_EQ(crc32c(""), 0U);
}

// Worked out apart from this code, from the format's description.
TEST(TfRecord, FramesTheDataWithItsLengthAndBothChecksums) {
  EXPECT_EQ(tf_record("123456789"), std::string("\x09\0\0\0\0\0\0\0"
                                                "\x37\xF9\x71\x39",
                                                12) +
                                        "123456789" + "\xE5\xB0\x8A\xC7");
}

TEST(TfRecord, FramesNothingToo) {
  const std::string frame = tf_record("");
  EXPECT_EQ(frame.size(), 16U);
  EXPECT_EQ(frame.substr(0, 8), std::string(8, '\0'));
  EXPECT_EQ(frame.substr(12), std::string("\xD8\xEA\x82\xA2"));
}

}  // namespace
}  // namespace lockstep
