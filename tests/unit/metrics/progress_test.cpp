#include <fcntl.h>
#include <gmock/gmock.h>
#include <spdlog/sinks/ostream_sink.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <sstream>

#include "comm/base/log.h"
#include "tests/unit/checkpoint/temporary_folder.h"
#include "trainer/checkpoint/atomic_file.h"
#include "trainer/metrics/metrics.h"

namespace lockstep {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;
using testing::StartsWith;

Progress::State at(std::int64_t step) {
  return {.step = step,
          .total_steps = 1175,
          .epoch = 3,
          .epochs = 5,
          .loss = 0.31239,
          .accuracy = 0.8914,
          .images_per_s = 12'034.4,
          .lr = 0.1};
}

// Standard error goes elsewhere while it lives.
class StandardErrorTo {
 public:
  explicit StandardErrorTo(int fd) : before_(::dup(STDERR_FILENO)) { ::dup2(fd, STDERR_FILENO); }
  StandardErrorTo(const StandardErrorTo&) = delete;
  StandardErrorTo& operator=(const StandardErrorTo&) = delete;
  ~StandardErrorTo() { ::dup2(before_.get(), STDERR_FILENO); }

 private:
  FileDescriptor before_;
};

// The log goes into a string while it lives.
class CapturedLog {
 public:
  CapturedLog() : before_(spdlog::default_logger()) {
    auto logger =
        std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(text_));
    logger->set_pattern("%v");
    spdlog::set_default_logger(std::move(logger));
  }
  CapturedLog(const CapturedLog&) = delete;
  CapturedLog& operator=(const CapturedLog&) = delete;
  ~CapturedLog() { spdlog::set_default_logger(before_); }
  std::string text() const { return text_.str(); }

 private:
  std::ostringstream text_;
  std::shared_ptr<spdlog::logger> before_;
};

TEST(ProgressText, TellsWhereTheRunIs) {
  EXPECT_EQ(progress_text(at(493), seconds(34)),
            " 41 %  step 493/1175  epoch 3/5  loss 0.3124  accuracy 89.1 %  12034 images/s  0:34 left");
}

TEST(ProgressText, TellsTimeLeftInMinutesAndHours) {
  EXPECT_THAT(progress_text(at(1), seconds(0)), HasSubstr(" 0:00 left"));
  EXPECT_THAT(progress_text(at(1), seconds(3599)), HasSubstr(" 59:59 left"));
  EXPECT_THAT(progress_text(at(1), seconds(3600)), HasSubstr(" 1:00:00 left"));
  EXPECT_THAT(progress_text(at(1), seconds(90'061)), HasSubstr(" 25:01:01 left"));
  EXPECT_THAT(progress_text(at(1), std::nullopt), testing::Not(HasSubstr("left")));
}

TEST(ProgressText, IsAtAHundredPercentOnlyAtTheEnd) {
  EXPECT_THAT(progress_text(at(1174), std::nullopt), StartsWith(" 99 %"));
  EXPECT_THAT(progress_text(at(1175), std::nullopt), StartsWith("100 %"));
}

TEST(ProgressText, LeavesOutATotalOfEpochsThatThereIsNot) {
  Progress::State state = at(1);
  state.epochs = 0;
  EXPECT_THAT(progress_text(state, std::nullopt), HasSubstr("epoch 3  loss"));
}

TEST(Progress, IsLoggedMoreAndMoreSeldom) {
  EXPECT_EQ(log_interval(seconds(0)), seconds(5));
  EXPECT_EQ(log_interval(seconds(50)), seconds(5));
  EXPECT_EQ(log_interval(seconds(3600)), seconds(360));
  EXPECT_EQ(log_interval(seconds(6000)), seconds(600));
  EXPECT_EQ(log_interval(seconds(1'000'000)), seconds(600));
}

TEST(Progress, LogsTheFirstAndTheLastStepWhereThereIsNoTerminal) {
  const TemporaryFolder folder;
  const FileDescriptor file(::open((folder / "err").c_str(), O_WRONLY | O_CREAT, 0600));
  const StandardErrorTo redirected(file.get());
  const CapturedLog log;
  Progress progress(true, 0);
  progress.update(at(1));
  progress.update(at(1175));
  progress.clear();
  progress.show("a table\n");
  const std::string text = log.text();
  EXPECT_EQ(std::ranges::count(text, '\n'), 2);
  EXPECT_THAT(text, StartsWith("  0 %  step 1/1175"));
  EXPECT_THAT(text, HasSubstr("100 %  step 1175/1175"));
  EXPECT_EQ(read_file(folder / "err"), "");
}

TEST(Progress, SaysNothingWhereItIsNotEnabled) {
  const CapturedLog log;
  Progress progress(false, 0);
  progress.update(at(1));
  progress.update(at(1175));
  EXPECT_EQ(log.text(), "");
}

TEST(Progress, TellsNoTimeLeftBeforeItsFirstStep) {
  const TemporaryFolder folder;
  const FileDescriptor file(::open((folder / "err").c_str(), O_WRONLY | O_CREAT, 0600));
  const StandardErrorTo redirected(file.get());
  const CapturedLog log;
  Progress(true, 500).update(at(500));
  EXPECT_THAT(log.text(), testing::Not(HasSubstr("left")));
}

TEST(Progress, RedrawsOneLineInPlaceOnATerminal) {
  const FileDescriptor master(::posix_openpt(O_RDWR | O_NOCTTY));
  ASSERT_EQ(::grantpt(master.get()), 0);
  ASSERT_EQ(::unlockpt(master.get()), 0);
  const FileDescriptor terminal(::open(::ptsname(master.get()), O_RDWR | O_NOCTTY));
  ASSERT_TRUE(terminal.valid());
  {
    const StandardErrorTo redirected(terminal.get());
    Progress progress(true, 0);
    progress.update(at(1));
    progress.update(at(1175));
    progress.clear();
    progress.clear();
    progress.show("a table\n");
  }
  // A terminal hands out what was written in pieces of its own.
  std::string text;
  while (!text.ends_with("a table\r\n")) {
    std::array<char, 4096> buffer{};
    const ssize_t got = ::read(master.get(), buffer.data(), buffer.size());
    ASSERT_GT(got, 0);
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  EXPECT_THAT(text, StartsWith("\r\x1b[?7l  0 %  step 1/1175"));
  EXPECT_THAT(text, HasSubstr("\x1b[K\x1b[?7h\r\x1b[?7l100 %"));  // cleared to the end, then drawn anew
  EXPECT_EQ(std::ranges::count(text, '\n'), 2);
}

}  // namespace
}  // namespace lockstep
