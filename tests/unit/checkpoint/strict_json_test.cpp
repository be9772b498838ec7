#include "trainer/checkpoint/strict_json.h"

#include <gmock/gmock.h>

namespace lockstep {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

std::string wrong(const std::string& text, std::size_t deepest = 3) {
  try {
    parse_strictly(text, deepest);
  } catch (const JsonError& error) {
    return error.what();
  }
  return "nothing";
}

TEST(StrictJson, ReadsJson) {
  EXPECT_EQ(parse_strictly(R"( {"a": [1, 2.5, "x"], "b": {"a": null}} )", 2),
            nlohmann::json({{"a", {1, 2.5, "x"}}, {"b", {{"a", nullptr}}}}));
  EXPECT_EQ(parse_strictly("7", 0), 7);
}

TEST(StrictJson, TellsItsKeysInTheOrderOfTheText) {
  std::vector<std::pair<std::size_t, std::string>> keys;
  parse_strictly(R"({"z": {"y": 1, "b": 2}, "a": 3})", 2,
                 [&](std::size_t depth, const std::string& key) { keys.emplace_back(depth, key); });
  EXPECT_THAT(keys, ElementsAre(Pair(1, "z"), Pair(2, "y"), Pair(2, "b"), Pair(1, "a")));
}

TEST(StrictJson, RefusesAKeyThatIsThereTwice) {
  EXPECT_THAT(wrong(R"({"a": 1, "b": {"a": 1}, "a": 1})"), HasSubstr("the key \"a\" twice"));
  EXPECT_THAT(wrong(R"({"\u001b[2J": 1, "\u001b[2J": 2})"), HasSubstr("the key \"?[2J\" twice"));
  EXPECT_EQ(wrong(R"([{"a": 1}, {"a": 1}])"), "nothing");
}

TEST(StrictJson, RefusesWhatIsNestedTooDeep) {
  EXPECT_EQ(wrong(R"([[[]]])"), "nothing");
  EXPECT_EQ(wrong(R"([[[[]]]])"), "is nested deeper than 3 levels");
  EXPECT_EQ(wrong(std::string(1'000'000, '[')), "is nested deeper than 3 levels");
  EXPECT_EQ(wrong(R"([])", 0), "is nested deeper than 0 levels");
}

std::string array_of(std::size_t values) {
  std::string text = "[0";
  for (std::size_t i = 1; i < values; ++i) text += ",0";
  return text + "]";
}

// Each takes far more memory than text.
TEST(StrictJson, RefusesMoreValuesThanAnyFileNeeds) {
  EXPECT_EQ(wrong(array_of(999'999)), "nothing");
  EXPECT_EQ(wrong(array_of(1'000'000)), "has more than 1000000 keys and values");
  EXPECT_EQ(wrong(array_of(5'000'000) + "x"), "has more than 1000000 keys and values");
}

// What is quadratic in the number of objects takes minutes here.
TEST(StrictJson, TakesAnyNumberOfObjects) {
  std::string text = R"({"0": {})";
  for (int i = 1; i < 300'000; ++i) text += ",\"" + std::to_string(i) + "\": {}";
  EXPECT_EQ(parse_strictly(text + "}", 2).size(), 300'000U);
}

TEST(StrictJson, RefusesWhatIsNoJsonInUtf8) {
  for (const char* text : {"", "{", "[1,]", "{'a': 1}", "nan", "1 2", "\"\xFF\"", "\"\xC0\xAF\"",
                           "[1] \xC3\xA9", "\xEF\xBB\xBF", "01", "\"\n\"", R"("\ud800")"}) {
    EXPECT_THAT(wrong(text), HasSubstr("is not JSON in UTF-8 (at byte")) << text;
  }
  EXPECT_EQ(wrong(std::string("[]\0[", 4)), "has a zero byte at 2");
  EXPECT_EQ(wrong("1e999"), "has a number that is out of range");
}

}  // namespace
}  // namespace lockstep
