#include "trainer/checkpoint/run_directory.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <thread>

#include "comm/base/error.h"
#include "tests/unit/checkpoint/temporary_folder.h"

namespace lockstep {
namespace {

using std::chrono::milliseconds;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Open = RunDirectory::Open;

constexpr milliseconds no_wait{0};

class RunDirectoryTest : public testing::Test {
 protected:
  RunDirectory open(Open how) const { return {dir_, how, no_wait}; }
  std::string failure(Open how) const {
    try {
      open(how);
    } catch (const DataError& error) {
      return error.what();
    }
    return "no DataError";
  }
  void write(const std::string& name, std::string_view text = "") const { write_file(dir_ / name, text); }
  std::vector<std::string> checkpoint_names() const { return names_in(dir_ / "checkpoints"); }

  TemporaryFolder folder_;
  std::filesystem::path dir_ = folder_ / "runs/first";
};

TEST_F(RunDirectoryTest, IsMadeWithItsParents) {
  const RunDirectory run = open(Open::fresh);
  EXPECT_THAT(names_in(dir_), ElementsAre(".lock", "checkpoints"));
  EXPECT_FALSE(run.finished());
  EXPECT_FALSE(run.latest().has_value());
  EXPECT_THAT(run.checkpoints(), IsEmpty());
}

TEST_F(RunDirectoryTest, NamesItsFiles) {
  const RunDirectory run = open(Open::fresh);
  EXPECT_EQ(run.path(), dir_);
  EXPECT_EQ(run.config(), dir_ / "config.yaml");
  EXPECT_EQ(run.metrics(), dir_ / "metrics.jsonl");
  EXPECT_EQ(run.digests(), dir_ / "digests.jsonl");
  EXPECT_EQ(run.final_file(), dir_ / "final.safetensors");
  EXPECT_EQ(run.best_file(), dir_ / "best.safetensors");
  EXPECT_EQ(run.checkpoint(234), dir_ / "checkpoints/step-00000234.safetensors");
  EXPECT_EQ(run.checkpoint(1'234'567'890), dir_ / "checkpoints/step-1234567890.safetensors");
}

TEST_F(RunDirectoryTest, RefusesAFreshStartWhereThereIsARun) {
  for (const std::string file : {"config.yaml", "metrics.jsonl", "final.safetensors",
                                 "checkpoints/step-00000001.safetensors", "checkpoints/latest"}) {
    write(file, "old");
    EXPECT_THAT(failure(Open::fresh),
                AllOf(HasSubstr(dir_.string()), HasSubstr("--resume"), HasSubstr("--overwrite")))
        << file;
    EXPECT_EQ(read_file(dir_ / file), "old");
    std::filesystem::remove(dir_ / file);
  }
}

TEST_F(RunDirectoryTest, StartsFreshBesideFilesThatAreNoRun) {
  write("notes.txt", "mine");
  write("checkpoints/.latest.tmp-123-0", "");
  EXPECT_NO_THROW(open(Open::fresh));
  EXPECT_EQ(read_file(dir_ / "notes.txt"), "mine");
}

TEST_F(RunDirectoryTest, KeepsEverythingOnResume) {
  write("config.yaml", "seed: 1");
  write("checkpoints/step-00000003.safetensors", "three");
  const RunDirectory run = open(Open::resume);
  EXPECT_EQ(read_file(dir_ / "config.yaml"), "seed: 1");
  EXPECT_EQ(run.latest(), run.checkpoint(3));
}

TEST_F(RunDirectoryTest, ResumesInAFolderThatIsNotThereYet) {
  EXPECT_FALSE(open(Open::resume).latest().has_value());
}

TEST_F(RunDirectoryTest, OverwritesOnlyWhatARunWrites) {
  for (const char* file :
       {"config.yaml", "metrics.jsonl", "digests.jsonl", "events.out.1", "final.safetensors",
        "final_ema.safetensors", "best.safetensors", "checkpoints/latest",
        "checkpoints/step-00000001.safetensors", "checkpoints/step-00000002.safetensors"}) {
    write(file);
  }
  write("notes.txt");
  write("plots/loss.png");
  write("checkpoints/best.safetensors");
  write("final.safetensors.bak");
  open(Open::overwrite);
  EXPECT_THAT(names_in(dir_),
              ElementsAre(".lock", "checkpoints", "final.safetensors.bak", "notes.txt", "plots"));
  EXPECT_THAT(checkpoint_names(), ElementsAre("best.safetensors"));
  EXPECT_THAT(names_in(dir_ / "plots"), ElementsAre("loss.png"));
}

TEST_F(RunDirectoryTest, OverwritesNothingWhereThereIsNothing) {
  EXPECT_NO_THROW(open(Open::overwrite));
}

TEST_F(RunDirectoryTest, RemovesWhatKilledWritersLeft) {
  write(".config.yaml.tmp-77-0");
  write("checkpoints/.step-00000009.safetensors.tmp-77-1");
  write("checkpoints/step-00000008.safetensors");
  open(Open::resume);
  EXPECT_THAT(names_in(dir_), ElementsAre(".lock", "checkpoints"));
  EXPECT_THAT(checkpoint_names(), ElementsAre("step-00000008.safetensors"));
}

TEST_F(RunDirectoryTest, IsHeldByOneJobAtATime) {
  {
    const RunDirectory held = open(Open::fresh);
    for (const Open how : {Open::fresh, Open::resume, Open::overwrite}) {
      EXPECT_THAT(failure(how), AllOf(HasSubstr(dir_.string()), HasSubstr("another job")));
    }
  }
  EXPECT_NO_THROW(open(Open::fresh));
}

TEST_F(RunDirectoryTest, IsNotTouchedByAJobThatCannotHaveIt) {
  const RunDirectory held = open(Open::fresh);
  write("config.yaml");
  write("checkpoints/.latest.tmp-1-0");
  EXPECT_THAT(failure(Open::overwrite), HasSubstr("another job"));
  EXPECT_THAT(names_in(dir_), ElementsAre(".lock", "checkpoints", "config.yaml"));
  EXPECT_THAT(checkpoint_names(), ElementsAre(".latest.tmp-1-0"));
}

TEST_F(RunDirectoryTest, IsWaitedForWhileAnotherJobEnds) {
  auto held = std::make_unique<RunDirectory>(dir_, Open::fresh, no_wait);
  std::thread waiter([&] { EXPECT_NO_THROW(RunDirectory(dir_, Open::resume, std::chrono::minutes(5))); });
  std::this_thread::sleep_for(milliseconds(20));
  held.reset();
  waiter.join();
}

TEST_F(RunDirectoryTest, IsWaitedForNoLongerThanTheUserWants) {
  const RunDirectory held = open(Open::fresh);
  int asked = 0;
  try {
    const RunDirectory never(dir_, Open::resume, std::chrono::minutes(5), [&] { return ++asked == 2; });
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::stopped);
    EXPECT_THAT(error.what(), HasSubstr(dir_.string()));
  }
}

TEST_F(RunDirectoryTest, CannotBeWhereAFileIs) {
  write_file(folder_ / "file", "kept");
  dir_ = folder_ / "file";
  EXPECT_THAT(failure(Open::fresh), HasSubstr(dir_.string()));
  dir_ = folder_ / "file/run";
  EXPECT_THAT(failure(Open::overwrite), AllOf(HasSubstr(dir_.string()), HasSubstr("Not a directory")));
  EXPECT_EQ(read_file(folder_ / "file"), "kept");
}

TEST_F(RunDirectoryTest, CannotBeWhereNothingCanBeMade) {
  dir_ = "/proc/lockstep";
  EXPECT_THAT(failure(Open::fresh), HasSubstr("/proc/lockstep: cannot be made: "));
}

TEST_F(RunDirectoryTest, TrustsLatestOverTheNewestFile) {
  write("checkpoints/step-00000001.safetensors");
  write("checkpoints/step-00000002.safetensors");
  write("checkpoints/latest", "step-00000001.safetensors\n");
  const RunDirectory run = open(Open::resume);
  EXPECT_EQ(run.latest(), run.checkpoint(1));
}

TEST_F(RunDirectoryTest, TakesTheNewestWhereLatestIsOfNoUse) {
  write("step-00000009.safetensors");
  write("checkpoints/step-00000001.safetensors");
  write("checkpoints/step-00000002.safetensors");
  write("checkpoints/best.safetensors");
  const RunDirectory run = open(Open::resume);
  EXPECT_EQ(run.latest(), run.checkpoint(2));
  for (const char* text : {"", "step-00000003.safetensors\n", "../step-00000009.safetensors\n", "latest\n",
                           ".\n", "best.safetensors\n", "/dev/zero\n"}) {
    write("checkpoints/latest", text);
    EXPECT_EQ(run.latest(), run.checkpoint(2)) << text;
  }
}

TEST_F(RunDirectoryTest, WaitsForNoLatestThatNeverEnds) {
  write("checkpoints/step-00000002.safetensors");
  const RunDirectory run = open(Open::resume);
  const auto latest = dir_ / "checkpoints/latest";
  std::filesystem::create_symlink("/dev/zero", latest);
  EXPECT_EQ(run.latest(), run.checkpoint(2));
  std::filesystem::remove(latest);
  ASSERT_EQ(::mkfifo(latest.c_str(), 0600), 0);
  EXPECT_EQ(run.latest(), run.checkpoint(2));
}

TEST_F(RunDirectoryTest, ListsCheckpointsByStep) {
  for (const char* name : {"step-00000010.safetensors", "step-00000009.safetensors",
                           "step-100000000.safetensors", "step-7.safetensors", "step--0000007.safetensors",
                           "step-00000011.safetensors.bak", "step-0000001x.safetensors"}) {
    write(std::string("checkpoints/") + name);
  }
  const RunDirectory run = open(Open::resume);
  EXPECT_THAT(run.checkpoints(),
              ElementsAre(run.checkpoint(9), run.checkpoint(10), run.checkpoint(100'000'000)));
}

TEST_F(RunDirectoryTest, PointsLatestAtWhatWasCommittedAndPrunes) {
  RunDirectory run = open(Open::fresh);
  for (const std::int64_t step : {10, 20, 30, 40}) {
    write_file(run.checkpoint(step), "");
    run.committed(step);
    EXPECT_EQ(run.latest(), run.checkpoint(step));
    run.prune(step, 2);
  }
  EXPECT_EQ(read_file(dir_ / "checkpoints/latest"), "step-00000040.safetensors\n");
  EXPECT_THAT(checkpoint_names(),
              ElementsAre("latest", "step-00000030.safetensors", "step-00000040.safetensors"));
}

TEST_F(RunDirectoryTest, NeverPrunesWhatLatestNames) {
  write("checkpoints/step-00000050.safetensors");  // of a run that went further, but not as far as `latest`
  write("checkpoints/step-00000010.safetensors");
  write("checkpoints/step-00000005.safetensors");
  RunDirectory run = open(Open::resume);
  run.committed(10);
  run.prune(10, 1);
  EXPECT_EQ(run.latest(), run.checkpoint(10));
  EXPECT_THAT(run.checkpoints(), ElementsAre(run.checkpoint(10), run.checkpoint(50)));
  run.prune(10, 0);
  EXPECT_THAT(run.checkpoints(), ElementsAre(run.checkpoint(10), run.checkpoint(50)));
}

TEST_F(RunDirectoryTest, CommitsNoCheckpointThatWasNotWritten) {
  EXPECT_THROW(open(Open::fresh).committed(3), std::logic_error);
  EXPECT_FALSE(std::filesystem::exists(dir_ / "checkpoints/latest"));
}

TEST_F(RunDirectoryTest, TakesNoFolderForACheckpoint) {
  write("checkpoints/step-00000001.safetensors");
  write("checkpoints/step-00000002.safetensors/file");
  const RunDirectory run = open(Open::resume);
  EXPECT_THAT(run.checkpoints(), ElementsAre(run.checkpoint(1)));
  EXPECT_EQ(run.latest(), run.checkpoint(1));
}

TEST_F(RunDirectoryTest, KnowsWhetherTheRunIsFinished) {
  const RunDirectory run = open(Open::fresh);
  EXPECT_FALSE(run.finished());
  write("final.safetensors");
  EXPECT_TRUE(run.finished());
}

TEST_F(RunDirectoryTest, WritesTextAllOrNothing) {
  const RunDirectory run = open(Open::fresh);
  run.write_text(run.config(), "seed: 1\n");
  run.write_text(run.config(), "seed: 2\n");
  EXPECT_EQ(read_file(run.config()), "seed: 2\n");
  EXPECT_THROW(run.write_text(run.config() / "x", ""), DataError);
  EXPECT_THAT(names_in(dir_), ElementsAre(".lock", "checkpoints", "config.yaml"));
}

}  // namespace
}  // namespace lockstep
