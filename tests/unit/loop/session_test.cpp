#include "trainer/loop/session.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <set>

#include "comm/base/error.h"
#include "comm/threads/threads.h"
#include "tests/unit/data/fixtures.h"
#include "tests/unit/data/pictures.h"
#include "trainer/loop/agree.h"

namespace lockstep {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// Two samples of one pixel each.
class Pair : public Dataset {
 public:
  Pair(std::array<std::uint8_t, 2> pixels, std::array<std::int32_t, 2> labels)
      : pixels_(pixels), labels_(labels) {}
  std::int64_t size() const override { return 2; }
  SampleShape shape() const override { return {1, 1, 1}; }
  std::int64_t classes() const override { return 10; }
  std::int32_t get(std::int64_t index, std::span<std::uint8_t> pixels) const override {
    pixels[0] = pixels_.at(static_cast<std::size_t>(index));
    return labels_.at(static_cast<std::size_t>(index));
  }

 private:
  std::array<std::uint8_t, 2> pixels_;
  std::array<std::int32_t, 2> labels_;
};

TEST(ContentDigest, TellsApartPixelsLabelsAndTheirOrder) {
  const auto digest = [](const Pair& pair) { return content_digest(&pair); };
  const std::string first = digest({{7, 8}, {0, 1}});
  EXPECT_EQ(digest({{7, 8}, {0, 1}}), first);
  const std::set<std::string> others{digest({{7, 9}, {0, 1}}), digest({{7, 8}, {0, 2}}),
                                     digest({{8, 7}, {1, 0}}), content_digest(nullptr)};
  EXPECT_EQ(others.size(), 4U);
  EXPECT_FALSE(others.contains(first));
}

TEST(ContentDigest, AsksItsCallerBetweenSamples) {
  int times = 0;
  const Pair pair({7, 8}, {0, 1});
  content_digest(&pair, [&] { ++times; });
  EXPECT_EQ(times, 2);
}

// What each of two workers says, one of which has another picture of this number, with the same name and
// size.
std::vector<std::string> refusals_of_pictures(int other, DataConfig config) {
  const testing::Folder folder;
  for (const char* const worker : {"0", "1"}) {
    for (int i = 0; i < 40; ++i)
      testing::write_png(folder / fmt::format("{}/train/a/{:02}.png", worker, i), 10);
    testing::write_png(folder / fmt::format("{}/test/a/0.png", worker), 10);
  }
  testing::repaint(folder / fmt::format("1/train/a/{:02}.png", other), 11);
  config.dataset = DataConfig::Dataset::image_folder;
  config.image = {.height = 3, .width = 3, .channels = 1, .crop = 1};
  std::vector<std::string> told(2);
  run_threads(2, [&](Communicator& comm) {
    Config own;
    own.data = config;
    own.data.path = (folder / std::to_string(comm.rank())).string();
    try {
      open_inputs(comm, own);
    } catch (const DataError& error) {
      told[static_cast<std::size_t>(comm.rank())] = error.what();
    }
  });
  return told;
}

TEST(OpenInputs, RefusesPicturesWhoseContentsDiffer) {
  DataConfig given;
  given.mean = {0.5};
  given.deviation = {0.2};
  EXPECT_THAT(refusals_of_pictures(0, given), ::testing::Each(HasSubstr("read different data")));
}

TEST(OpenInputs, RefusesPicturesWhoseMeanDiffers) {
  EXPECT_THAT(refusals_of_pictures(1, {}), ::testing::Each(HasSubstr("read different data")));
}

// What each of three workers says where rank 2 has another configuration.
std::vector<std::string> refusals(const Config& config, const Config& of_rank_2) {
  std::vector<std::string> told(3);
  run_threads(3, [&](Communicator& comm) {
    try {
      require_equal_configs(comm, comm.rank() == 2 ? of_rank_2 : config);
    } catch (const UsageError& error) {
      told[static_cast<std::size_t>(comm.rank())] = error.what();
    }
  });
  return told;
}

TEST(RequireEqualConfigs, NamesHostsAndKeysThatDiffer) {
  Config other;
  other.optimizer.lr = 0.5;
  other.evaluation.every_epochs = 7;  // another order of collectives
  const auto told = refusals({}, other);
  EXPECT_THAT(told, ::testing::Each(told[0]));
  EXPECT_THAT(told[0], AllOf(HasSubstr(fmt::format("rank 0 on {}: optimizer.lr: 0.1", host_name())),
                             HasSubstr(fmt::format("rank 2 on {}: optimizer.lr: 0.5", host_name())),
                             HasSubstr("evaluation.every_epochs: 7"), Not(HasSubstr("rank 1"))));
}

TEST(RequireEqualConfigs, FollowsEveryKeyThatWorkersMustShare) {
  Config stops;
  stops.train.stop_at_step = 3;
  Config saves;
  saves.checkpoint.every_steps = 5;
  Config buckets;
  buckets.comm.bucket_mib = 1;
  Config waits;
  waits.comm.timeout_s = 1;
  Config checks;
  checks.comm.check_every = 7;
  for (const Config& other : {stops, saves, buckets, waits, checks}) {
    EXPECT_THAT(refusals({}, other), ::testing::Each(HasSubstr("configurations differ")));
  }
}

TEST(RequireEqualConfigs, LetsEachHostHaveWhatSuitsIt) {
  Config other;
  other.run_dir = "elsewhere";
  other.data.path = "/mnt/data";
  other.threads = 7;
  other.plan.memory_mib = 100;
  EXPECT_THAT(refusals({}, other), ::testing::Each(""));
}

TEST(RequireEqualConfigs, AsksOfInitialWeightsOnlyWhetherThereAreAny) {
  Config here;
  here.train.init_from = "/scratch/1/w.safetensors";
  Config there;
  there.train.init_from = "/scratch/2/w.safetensors";
  EXPECT_THAT(refusals(here, there), ::testing::Each(""));
  EXPECT_THAT(refusals(here, {}), ::testing::Each(AllOf(HasSubstr(R"(train.init_from: "set")"),
                                                        HasSubstr(R"(train.init_from: "not set")"))));
}

}  // namespace
}  // namespace lockstep
