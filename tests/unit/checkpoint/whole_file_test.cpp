#include "trainer/checkpoint/whole_file.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "comm/base/error.h"
#include "tests/unit/checkpoint/temporary_folder.h"

namespace lockstep {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class WholeFile : public testing::Test {
 protected:
  std::string failure(const std::filesystem::path& file) const {
    try {
      read_whole_file(file);
    } catch (const DataError& error) {
      return error.what();
    }
    return "no DataError";
  }
  // A pipe that nobody writes: who waits for it waits for ever.
  std::filesystem::path pipe() const {
    EXPECT_EQ(::mkfifo((folder_ / "pipe").c_str(), 0600), 0);
    return folder_ / "pipe";
  }

  TemporaryFolder folder_;
};

TEST_F(WholeFile, IsReadToItsLastByte) {
  write_file(folder_ / "a", std::string("one\0two\n", 8));
  EXPECT_EQ(read_whole_file(folder_ / "a").text(), std::string("one\0two\n", 8));
  write_file(folder_ / "empty", "");
  EXPECT_EQ(read_whole_file(folder_ / "empty").text(), "");
}

TEST_F(WholeFile, IsNeitherAPipeNorAFolderNorADevice) {
  EXPECT_THAT(failure(pipe()), AllOf(HasSubstr((folder_ / "pipe").string()), HasSubstr("no regular file")));
  EXPECT_THAT(failure(folder_.path()), HasSubstr("no regular file"));
  EXPECT_THAT(failure("/dev/zero"), HasSubstr("/dev/zero: is no regular file"));
  EXPECT_THAT(failure(folder_ / "missing"), HasSubstr("No such file or directory"));
}

TEST_F(WholeFile, AShortLineIsTheFirst) {
  write_file(folder_ / "a", "first\nsecond\n");
  EXPECT_EQ(read_short_line(folder_ / "a"), "first");
  write_file(folder_ / "a", "alone");
  EXPECT_EQ(read_short_line(folder_ / "a"), "alone");
}

TEST_F(WholeFile, AShortLineIsNothingWhereThereIsNone) {
  write_file(folder_ / "long", std::string(1'000'000, 'x') + "\n");
  std::filesystem::create_symlink("/dev/zero", folder_ / "endless");
  for (const auto& file :
       {folder_ / "long", folder_ / "endless", folder_ / "missing", folder_.path(), pipe()}) {
    EXPECT_EQ(read_short_line(file), "") << file;
  }
}

}  // namespace
}  // namespace lockstep
