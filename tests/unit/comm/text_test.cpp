#include "comm/base/text.h"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

TEST(Printable, LeavesTextAsItIs) {
  EXPECT_EQ(printable("layer1.0.conv1.weight"), "layer1.0.conv1.weight");
  EXPECT_EQ(printable("Sac \xC3\xA0 main, \xE6\xBC\xA2\xE5\xAD\x97, \xF0\x9F\x98\x80"),
            "Sac \xC3\xA0 main, \xE6\xBC\xA2\xE5\xAD\x97, \xF0\x9F\x98\x80");
  EXPECT_EQ(printable(""), "");
}

TEST(Printable, GivesNoTerminalACommand) {
  EXPECT_EQ(printable("\x1B[2Ja\nb\x7F"), "?[2Ja?b?");
  EXPECT_EQ(printable("\xC2\x9B"
                      "2J"),
            "?2J");  // the one-character form of ESC [
  EXPECT_EQ(printable("a\xE2\x80\xAE"
                      "b"),
            "a?b");  // right to left from here on
  EXPECT_EQ(printable(std::string_view("\0x", 2)), "?x");
}

TEST(Printable, ShowsWhatIsNotUtf8AsSuch) {
  EXPECT_EQ(printable("a\xFF"), "a?");
  EXPECT_EQ(printable("\xC0\x80"), "??");  // overlong
  EXPECT_EQ(printable("\xE0\x9F\xBF"), "???");
  EXPECT_EQ(printable("\xED\xA0\x80"), "???");  // half of a surrogate pair
  EXPECT_EQ(printable("\xF4\x90\x80\x80"), "????");
  EXPECT_EQ(printable("\xE6\xBC"), "??");
  EXPECT_EQ(printable("\xC3("), "?(");
}

TEST(Printable, CutsBetweenCharacters) {
  EXPECT_EQ(printable("abcdef", 6), "abcdef");
  EXPECT_EQ(printable("abcdefg", 6), "abcdef...");
  EXPECT_EQ(printable("abc\xE6\xBC\xA2", 5), "abc...");
  EXPECT_EQ(printable(std::string(1'000'000, 'x')).size(), 67U);
}

}  // namespace
}  // namespace lockstep
