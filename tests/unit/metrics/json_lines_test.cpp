#include <gtest/gtest.h>

#include <limits>

#include "comm/base/error.h"
#include "tests/unit/checkpoint/file_size_limit.h"
#include "tests/unit/checkpoint/temporary_folder.h"
#include "trainer/metrics/metrics.h"

namespace lockstep {
namespace {

constexpr std::int64_t everything = std::numeric_limits<std::int64_t>::max();

class JsonLinesTest : public testing::Test {
 protected:
  // What is left of `before` when a run goes on after `keep_until`.
  std::string kept(const std::string& before, std::int64_t keep_until) {
    write_file(file_, before);
    const JsonLines lines(file_, keep_until);
    return read_file(file_);
  }

  TemporaryFolder folder_;
  std::filesystem::path file_ = folder_ / "metrics.jsonl";
};

TEST_F(JsonLinesTest, WritesOneObjectALineAtOnce) {
  JsonLines lines(file_, 0);
  lines.write(R"({"step":1})");
  EXPECT_EQ(read_file(file_), "{\"step\":1}\n");
  lines.write(R"({"step":2})");
  EXPECT_EQ(read_file(file_), "{\"step\":1}\n{\"step\":2}\n");
}

TEST_F(JsonLinesTest, AppendsToWhatIsThere) {
  write_file(file_, "{\"step\":1}\n");
  JsonLines lines(file_, 1);
  lines.write(R"({"step":2})");
  EXPECT_EQ(read_file(file_), "{\"step\":1}\n{\"step\":2}\n");
}

TEST_F(JsonLinesTest, DropsTheStepsThatWillBeDoneAgain) {
  EXPECT_EQ(kept("{\"step\":1,\"loss\":2.5}\n{\"step\":2}\n{\"step\":2,\"val_loss\":1}\n{\"step\":3}\n", 2),
            "{\"step\":1,\"loss\":2.5}\n{\"step\":2}\n{\"step\":2,\"val_loss\":1}\n");
  EXPECT_EQ(kept("{\"step\":1}\n", 0), "");
  EXPECT_EQ(names_in(folder_.path()).size(), 1U);
}

TEST_F(JsonLinesTest, DropsATornLine) {
  EXPECT_EQ(kept("{\"step\":1}\n{\"step\":2,\"lo", everything), "{\"step\":1}\n");
  EXPECT_EQ(kept("{\"step\":1}\n{\"step\":2", everything), "{\"step\":1}\n");
  EXPECT_EQ(kept("{\"step\":1}\n{\"st{\"step\":2}\n{\"step\":3}\n", everything),
            "{\"step\":1}\n{\"step\":3}\n");
  EXPECT_EQ(kept(std::string("{\"step\":1}\n\0\0\0\0", 15), everything), "{\"step\":1}\n");
}

TEST_F(JsonLinesTest, EndsALastLineThatLacksOnlyItsEnd) {
  EXPECT_EQ(kept("{\"step\":1}\n{\"step\":2}", everything), "{\"step\":1}\n{\"step\":2}\n");
}

TEST_F(JsonLinesTest, KeepsLinesThatTellNoStep) {
  EXPECT_EQ(kept("{\"seed\":1}\n{\"step\":9}\n", 3), "{\"seed\":1}\n");
}

TEST_F(JsonLinesTest, TellsWhatItHolds) {
  write_file(file_, "{\"step\":1,\"val_loss\":2}\nnot an object\n[1]\n{\"val_loss\":1}\n{\"step\":2}\n");
  const JsonLines lines(file_, everything);
  EXPECT_TRUE(lines.holds(1, "val_loss"));
  EXPECT_FALSE(lines.holds(2, "val_loss"));
  EXPECT_FALSE(lines.holds(3, "val_loss"));
}

TEST_F(JsonLinesTest, TakesAnEmptyFile) {
  EXPECT_EQ(kept("", 3), "");
}

TEST_F(JsonLinesTest, NamesAFileThatCannotBeOpened) {
  write_file(file_, "");
  try {
    const JsonLines lines(file_ / "x", 0);
    FAIL();
  } catch (const DataError& error) {
    EXPECT_EQ(std::string(error.what()), (file_ / "x").string() + ": cannot be written: Not a directory");
  }
}

TEST_F(JsonLinesTest, TellsWhyALineCouldNotBeWritten) {
  const std::string message = [&]() -> std::string {
    JsonLines lines(file_, 0);
    const FileSizeLimit limit(64);
    try {
      lines.write(std::string(100, ' '));
    } catch (const DataError& error) {
      return error.what();
    }
    return "no DataError";
  }();
  EXPECT_EQ(message, file_.string() + ": cannot be written: File too large");
}

TEST_F(JsonLinesTest, WritesLaterWhatItCouldNotWrite) {
  JsonLines lines(file_, 0);
  {
    const FileSizeLimit limit(10);  // in the middle of the first line
    EXPECT_THROW(lines.write(R"({"step":1,"loss":2})"), DataError);
    EXPECT_THROW(lines.write(R"({"step":2})"), DataError);
    EXPECT_THROW(lines.sync(), DataError);
  }
  lines.sync();
  EXPECT_EQ(read_file(file_), "{\"step\":1,\"loss\":2}\n{\"step\":2}\n");
}

TEST_F(JsonLinesTest, KeepsTheOldFileWhereItCannotBeReplaced) {
  const std::string before = R"({"step":1,"note":")" + std::string(100, 'x') + "\"}\n{\"step\":2}\n";
  write_file(file_, before);
  {
    const FileSizeLimit limit(64);
    EXPECT_THROW(JsonLines(file_, 1), DataError);
  }
  EXPECT_EQ(read_file(file_), before);
  EXPECT_EQ(names_in(folder_.path()).size(), 1U);
}

}  // namespace
}  // namespace lockstep
