#include "trainer/checkpoint/atomic_file.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "comm/base/error.h"
#include "tests/unit/checkpoint/file_size_limit.h"
#include "tests/unit/checkpoint/temporary_folder.h"

namespace lockstep {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

std::string failure(auto&& action) {
  try {
    action();
  } catch (const DataError& error) {
    return error.what();
  }
  return "no DataError";
}

TEST(AtomicFile, ReplacesAFileOnlyWithCommit) {
  const TemporaryFolder folder;
  write_file(folder / "a", "old");
  {
    AtomicFile dropped(folder / "a");
    dropped.write("new");
  }
  EXPECT_EQ(read_file(folder / "a"), "old");
  EXPECT_THAT(names_in(folder.path()), ElementsAre("a"));

  AtomicFile file(folder / "a");
  file.write("new");
  file.write(" text");
  EXPECT_EQ(read_file(folder / "a"), "old");
  file.commit();
  EXPECT_EQ(read_file(folder / "a"), "new text");
  EXPECT_THAT(names_in(folder.path()), ElementsAre("a"));
}

TEST(AtomicFile, KeepsTheOldFileWhereTheDiskIsFullMidway) {
  const TemporaryFolder folder;
  write_file(folder / "a", "old");
  const std::string message = failure([&] {
    const FileSizeLimit limit(4096);
    AtomicFile file(folder / "a");
    file.write(std::string(10'000, 'x'));
    file.commit();
  });
  EXPECT_THAT(message, AllOf(HasSubstr((folder / "a").string()), HasSubstr("File too large")));
  EXPECT_EQ(read_file(folder / "a"), "old");
  EXPECT_THAT(names_in(folder.path()), ElementsAre("a"));
}

TEST(AtomicFile, NamesThePathAndTheReasonWhereAFileCannotBeMade) {
  const TemporaryFolder folder;
  write_file(folder / "a", "");
  EXPECT_THAT(failure([&] { AtomicFile(folder / "a/b"); }),
              AllOf(HasSubstr((folder / "a/b").string()), HasSubstr("Not a directory")));
  EXPECT_THAT(failure([&] { AtomicFile(folder / "missing/b"); }), HasSubstr("No such file or directory"));
}

TEST(AtomicFile, LeavesNothingBehindWhereItCannotTakeItsPlace) {
  const TemporaryFolder folder;
  write_file(folder / "a/inside", "");
  EXPECT_THAT(failure([&] {
                AtomicFile file(folder / "a");
                file.commit();
              }),
              HasSubstr((folder / "a").string()));
  EXPECT_THAT(names_in(folder.path()), ElementsAre("a"));
}

TEST(AtomicFile, FollowsTheUmask) {
  const TemporaryFolder folder;
  const mode_t before = ::umask(027);
  AtomicFile file(folder / "a");
  file.commit();
  ::umask(before);
  EXPECT_EQ(std::filesystem::status(folder / "a").permissions(), std::filesystem::perms(0640));
}

TEST(AtomicFile, KnowsItsTemporaryFilesByName) {
  const TemporaryFolder folder;
  {
    const AtomicFile file(folder / "a.b");
    ASSERT_EQ(names_in(folder.path()).size(), 1U);
    EXPECT_TRUE(AtomicFile::is_temporary(folder / names_in(folder.path())[0]));
  }
  EXPECT_TRUE(AtomicFile::is_temporary("/x/.step-00000234.safetensors.tmp-12345-0"));
  for (const char* other :
       {"latest", "a.tmp-12-0", ".lock", ".a.tmp-", ".a.tmp-12-0.b", ".tmp", "notes.tmp"}) {
    EXPECT_FALSE(AtomicFile::is_temporary(other)) << other;
  }
}

}  // namespace
}  // namespace lockstep
