#include "trainer/metrics/event_file.h"

#include <gmock/gmock.h>

#include <array>
#include <chrono>
#include <cstring>
#include <limits>

#include "comm/base/error.h"
#include "tests/unit/checkpoint/file_size_limit.h"
#include "tests/unit/checkpoint/temporary_folder.h"
#include "trainer/encoding/tf_record.h"

// That TensorBoard understands it is tested in tests/interop.
namespace lockstep {
namespace {

using testing::HasSubstr;

// The data of the records that a file consists of.
std::vector<std::string> records(const std::filesystem::path& file) {
  const std::string all = read_file(file);
  std::vector<std::string> found;
  for (std::size_t at = 0; at < all.size();) {
    std::uint64_t length = 0;
    std::memcpy(&length, all.data() + at, sizeof(length));
    found.push_back(all.substr(at + 12, length));
    EXPECT_EQ(all.substr(at, length + 16), tf_record(found.back()));
    at += length + 16;
  }
  return found;
}

class EventFileTest : public testing::Test {
 protected:
  TemporaryFolder folder_;
};

TEST_F(EventFileTest, BeginsWithItsVersionAndTheStepAtWhichItBegins) {
  EventFile events(folder_.path(), 41);
  events.scalars(42, {{"loss", 0.5}});
  const std::vector<std::string> all = records(events.path());
  ASSERT_EQ(all.size(), 3U);
  EXPECT_THAT(all[0], HasSubstr("\x1A\x0D"
                                "brain.Event:2"));
  EXPECT_THAT(all[1], HasSubstr("\x10\x2A\x3A\x02\x08\x01"));  // step 42, session log: start
  EXPECT_THAT(all[2], HasSubstr("\x10\x2A"));
  EXPECT_THAT(all[2], HasSubstr(std::string("\x0A\x04"
                                            "loss"
                                            "\x15\0\0\0\x3F",
                                            11)));
}

TEST_F(EventFileTest, EachStartHasAFileBehindThoseThatAreThere) {
  write_file(folder_ / "events.out.tfevents.9999999990", "");
  std::vector<std::string> expected{"events.out.tfevents.9999999990"};
  for (int start = 1; start <= 3; ++start) {
    EventFile(folder_.path(), 0).sync();
    expected.push_back("events.out.tfevents." + std::to_string(9'999'999'990 + start));
    EXPECT_EQ(names_in(folder_.path()), expected);
  }
  EXPECT_EQ(read_file(folder_ / expected[0]), "");
}

TEST_F(EventFileTest, IsNamedAfterTheTime) {
  const EventFile events(folder_.path(), 0);
  const std::int64_t now =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
          .count();
  const std::string name = events.path().filename().string();
  ASSERT_THAT(name, testing::StartsWith("events.out.tfevents."));
  EXPECT_THAT(std::stoll(name.substr(20)), testing::AllOf(testing::Le(now), testing::Gt(now - 600)));
}

TEST_F(EventFileTest, CountsWhatIsFiniteInHistograms) {
  EventFile events(folder_.path(), 0);
  constexpr float infinity = std::numeric_limits<float>::infinity();
  const std::array mixed{infinity, 1.0F, -infinity, std::numeric_limits<float>::quiet_NaN()};
  const std::array spoiled{infinity};
  events.histograms(1, {{"mixed", mixed}, {"spoiled", spoiled}, {"none", {}}});
  const std::string told = records(events.path()).back();
  EXPECT_THAT(told, testing::Not(HasSubstr("spoiled")));
  EXPECT_THAT(told, testing::Not(HasSubstr("none")));
  const std::string one("\0\0\0\0\0\0\xF0\x3F", 8);
  // min, max, num, sum, sum_squares; one bucket with one value
  EXPECT_THAT(told, HasSubstr("mixed\x2A\x41\x09" + one + "\x11" + one + "\x19" + one + "\x21" + one +
                              "\x29" + one + "\x32\x08" + one + "\x3A\x08" + one));
}

TEST_F(EventFileTest, WritesLaterWhatItCouldNotWrite) {
  EventFile events(folder_.path(), 0);
  {
    const FileSizeLimit limit(40);  // in the middle of the second record
    EXPECT_THROW(events.scalars(1, {{"loss", 1}}), DataError);
    EXPECT_THROW(events.text(2, "config", "a: 1"), DataError);
    EXPECT_THROW(events.sync(), DataError);
  }
  events.sync();
  const std::vector<std::string> all = records(events.path());
  ASSERT_EQ(all.size(), 4U);
  EXPECT_THAT(all[2], HasSubstr("loss"));
  EXPECT_THAT(all[3], HasSubstr("a: 1"));
}

TEST_F(EventFileTest, NamesAFolderThatCannotBeRead) {
  write_file(folder_ / "file", "");
  try {
    const EventFile events(folder_ / "file", 0);
    FAIL();
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr((folder_ / "file").string()));
  }
}

}  // namespace
}  // namespace lockstep
