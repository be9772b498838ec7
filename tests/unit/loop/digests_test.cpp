#include "trainer/loop/digests.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <fstream>

#include "comm/base/error.h"

namespace lockstep {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using Digests = std::map<std::int64_t, std::vector<Digest>>;

class RunFolder : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "digests-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  void write(const std::string& text) const { std::ofstream(folder_ / "digests.jsonl") << text; }

  std::filesystem::path folder_;
};

TEST_F(RunFolder, DigestsComeBackAsTheyWereWritten) {
  std::array<float, 3> weights{1, 2, 3};
  std::array<float, 2> biases{0.5F, -0.5F};
  const std::vector<ModelTensor> tensors{
      {"fc.weight", DType::f32, {3}, std::as_writable_bytes(std::span(weights))},
      {"fc.bias", DType::f32, {2}, std::as_writable_bytes(std::span(biases))}};
  write(digest_line(7, tensors) + "\n");
  const Digests digests = read_digests(folder_);
  ASSERT_TRUE(digests.contains(7));
  EXPECT_THAT(digests.at(7), ElementsAre(Digest("fc.weight", digest(tensors[0].bytes)),
                                         Digest("fc.bias", digest(tensors[1].bytes))));
}

TEST(Digest, ChangesWithOneBit) {
  std::array<float, 4> values{1, 2, 3, 4};
  const std::string before = digest(std::as_bytes(std::span(values)));
  EXPECT_EQ(before.size(), 16U);
  values[3] = std::nextafter(4.0F, 5.0F);
  EXPECT_NE(digest(std::as_bytes(std::span(values))), before);
}

TEST_F(RunFolder, AMissingFileSaysWhichKeyWritesIt) {
  try {
    read_digests(folder_);
    FAIL();
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr("train.digest_every"));
  }
}

TEST_F(RunFolder, ALastLineThatWasNotWrittenToItsEndIsSkipped) {
  write("{\"step\":1,\"tensors\":{\"a\":\"00\"}}\n{\"step\":2,\"tens");
  EXPECT_EQ(read_digests(folder_), (Digests{{1, {{"a", "00"}}}}));
}

TEST_F(RunFolder, ABrokenLineIsNamed) {
  write("{\"step\":1,\"tensors\":{\"a\":\"00\"}}\n{\"step\":2}\n");
  try {
    read_digests(folder_);
    FAIL();
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr("digests.jsonl:2: not a line of digests"));
    EXPECT_THAT(error.what(), Not(HasSubstr("json.exception")));
  }
}

TEST(ParseDigests, RefusesWhatIsNoLineOfDigests) {
  for (const std::string line :
       {"", "{", "7", "[]", R"({"tensors":{}})", R"({"step":-1,"tensors":{}})",
        R"({"step":1.0,"tensors":{}})", R"({"step":18446744073709551615,"tensors":{}})",
        R"({"step":"1","tensors":{}})", R"({"step":1,"tensors":[]})", R"({"step":1,"tensors":{"a":0}})",
        R"({"step":1,"tensors":{"a":{"b":{}}}})", R"({"step":1,"tensors":{"a":"0","a":"1"}})",
        R"({"step":1,"step":2,"tensors":{}})", R"({"step":1,"tensors":{},"other":{"b":"0"}})",
        "{\"step\":1,\"tensors\":{\"\xFF\":\"0\"}}"}) {
    try {
      parse_digests(line + "\n", "a.jsonl");
      ADD_FAILURE() << line;
    } catch (const DataError& error) {
      EXPECT_THAT(error.what(), HasSubstr("a.jsonl:1: not a line of digests")) << line;
    }
  }
}

TEST(ParseDigests, RefusesAStepThatIsThereTwice) {
  const std::string line = "{\"step\":1,\"tensors\":{\"a\":\"00\"}}\n";
  try {
    parse_digests(line + line, "a.jsonl");
    FAIL();
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr("a.jsonl:2: step 1 was there already"));
  }
}

// What is quadratic in the number of tensors takes hours here.
TEST(ParseDigests, TakesALineOfAnyLength) {
  std::string line = R"({"step":1,"tensors":{)";
  for (int i = 0; i < 200'000; ++i) line += fmt::format(R"({}"{}":"00")", i == 0 ? "" : ",", i);
  EXPECT_EQ(parse_digests(line + "}}\n", "a.jsonl").at(1).size(), 200'000U);
}

TEST(CompareDigests, CountsTheStepsOfEqualRuns) {
  const Digests run{{1, {{"a", "0"}}}, {2, {{"a", "1"}}}};
  const Comparison result = compare_digests(run, run);
  EXPECT_FALSE(result.differ);
  EXPECT_EQ(result.steps, 2);
  EXPECT_EQ(result.first, 1);
  EXPECT_EQ(result.last, 2);
}

TEST(CompareDigests, FindsTheFirstStepAndTensorThatDiffer) {
  const Digests a{
      {1, {{"x", "0"}, {"y", "0"}}}, {2, {{"x", "1"}, {"y", "1"}}}, {3, {{"x", "2"}, {"y", "2"}}}};
  const Digests b{
      {1, {{"x", "0"}, {"y", "0"}}}, {2, {{"x", "1"}, {"y", "9"}}}, {3, {{"x", "8"}, {"y", "8"}}}};
  const Comparison result = compare_digests(a, b);
  EXPECT_TRUE(result.differ);
  EXPECT_EQ(result.step, 2);
  EXPECT_THAT(result.differing, ElementsAre("y"));
  EXPECT_EQ(result.tensors, 2U);
  EXPECT_EQ(result.steps, 2);
}

TEST(CompareDigests, ATensorThatOnlyOneRunHasIsADifference) {
  const Digests a{{1, {{"x", "0"}}}};
  const Digests b{{1, {{"x", "0"}, {"z", "0"}}}};
  EXPECT_THAT(compare_digests(a, b).differing, ElementsAre("z"));
  EXPECT_THAT(compare_digests(b, a).differing, ElementsAre("z"));
}

TEST(CompareDigests, SkipsStepsThatOnlyOneRunKept) {
  const Digests a{{1, {{"x", "0"}}}, {2, {{"x", "1"}}}, {3, {{"x", "2"}}}};
  const Digests b{{2, {{"x", "1"}}}, {4, {{"x", "3"}}}};
  EXPECT_EQ(compare_digests(a, b).steps, 1);
}

TEST(CompareDigests, RunsWithoutACommonStepCannotBeCompared) {
  const Digests a{{1, {{"x", "0"}}}};
  const Digests b{{2, {{"x", "0"}}}};
  EXPECT_THROW(compare_digests(a, b), DataError);
}

}  // namespace
}  // namespace lockstep
