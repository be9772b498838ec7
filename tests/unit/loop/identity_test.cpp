#include "trainer/loop/identity.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "trainer/loop/agree.h"
#include "trainer/loop/digests.h"
#include "trainer/loop/session.h"
#include "trainer/loop/workers.h"

namespace lockstep {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

Config small_run() {
  Config config;
  config.model.name = "cnn";
  config.batch = {.global = 16, .shards = 8};
  config.data.dataset = DataConfig::Dataset::synthetic;
  config.data.synthetic = {
      .samples = 16, .test_samples = 4, .height = 8, .width = 8, .channels = 1, .classes = 3};
  config.comm.timeout_s = 20;
  return config;
}

// A bit of a tensor that is another on one worker than on all others.
struct Flip {
  int rank;
  std::string tensor;
  std::size_t byte = 0;
  int bit = 0;
};

// One worker after the check.
struct Held {
  std::string told;    // what the check threw, code first; empty where it passed
  std::string digest;  // of the first flip's tensor
};

// Flips bits in the states of a run's workers, and checks them.
std::vector<Held> check(int workers, const std::vector<Flip>& flips) {
  std::vector<Held> all(static_cast<std::size_t>(workers));
  const Config config = small_run();
  run_workers({Workers::Kind::threads, workers, 0}, config.comm, [&](Communicator& comm) {
    Session session(comm, config, open_inputs(comm, config));
    session.model().initialize();
    Held& mine = all[static_cast<std::size_t>(comm.rank())];
    const auto state = session.state();
    const auto named = [&](const std::string& name) {
      return std::find_if(state.begin(), state.end(), [&](const auto& it) { return it.name == name; });
    };
    for (const Flip& flip : flips) {
      ASSERT_NE(named(flip.tensor), state.end()) << flip.tensor;
      if (flip.rank == comm.rank()) named(flip.tensor)->bytes[flip.byte] ^= std::byte{1} << flip.bit;
    }
    if (!flips.empty()) mine.digest = digest(named(flips.front().tensor)->bytes);
    try {
      require_equal_state(comm, 120, state);
    } catch (const CommError&) {
      throw;
    } catch (const Error& error) {
      mine.told = fmt::format("{} {}", static_cast<int>(error.code()), error.what());
    }
  });
  return all;
}

std::string line(int rank, const Held& held, bool odd = false) {
  return fmt::format("\n  rank {} on {}: {}{}\n", rank, host_name(), held.digest,
                     odd ? " (odd one out)" : "");
}

// What all of them were told, which must be the same. Lines end in \n.
std::string told_alike(const std::vector<Held>& all) {
  for (const Held& held : all) EXPECT_EQ(held.told, all[0].told);
  return all[0].told + "\n";
}

TEST(RequireEqualState, IsSilentWhereAllHoldTheSame) {
  for (const int workers : {1, 2, 3, 4}) {
    EXPECT_EQ(told_alike(check(workers, {})), "\n") << workers;
  }
}

TEST(RequireEqualState, IsSilentWhereAllChangedAlike) {
  EXPECT_EQ(told_alike(check(2, {{0, "conv1.weight"}, {1, "conv1.weight"}})), "\n");
}

TEST(RequireEqualState, FindsOneBitOfAnyKindOfState) {
  for (const char* tensor : {"conv1.weight", "fc2.bias", "bn1.weight", "bn1.running_var",
                             "bn1.num_batches_tracked", "optimizer.momentum.fc2.weight", "train.step"}) {
    for (const int workers : {2, 3, 4}) {
      const int rank = workers - 1;
      const auto all = check(workers, {{rank, tensor, 3, 7}});
      EXPECT_THAT(told_alike(all),
                  AllOf(testing::StartsWith("4 step 120: the workers no longer hold the same state: the "
                                            "first tensor that differs is '" +
                                            std::string(tensor) + "'\n"),
                        HasSubstr(line(0, all[0])), HasSubstr(line(rank, all.back(), workers > 2)),
                        HasSubstr("--resume")));
      EXPECT_NE(all[0].digest, all.back().digest);
    }
  }
}

TEST(RequireEqualState, MarksTheOddOneWhicheverRankItHas) {
  for (const int odd : {0, 1, 2}) {
    const auto all = check(3, {{odd, "fc2.weight"}});
    const std::string told = told_alike(all);
    for (const int rank : {0, 1, 2}) {
      const auto& held = all[static_cast<std::size_t>(rank)];
      EXPECT_THAT(told, HasSubstr(line(rank, held, rank == odd)));
    }
    EXPECT_THAT(told, Not(HasSubstr("cannot be told")));
  }
}

TEST(RequireEqualState, NamesTheFirstOfSeveralTensorsInTheOrderOfTheState) {
  const auto all = check(4, {{3, "bn1.running_mean"}, {1, "train.step"}, {3, "optimizer.momentum.fc2.bias"}});
  EXPECT_THAT(told_alike(all), AllOf(HasSubstr("'bn1.running_mean'"), HasSubstr(line(1, all[1])),
                                     HasSubstr(line(3, all[3], true)), Not(HasSubstr("train.step"))));
}

TEST(RequireEqualState, MarksAllWhoAreOutvoted) {
  const auto all = check(5, {{1, "fc2.bias"}, {4, "fc2.bias", 2}});
  const std::string told = told_alike(all);
  for (int rank = 0; rank < 5; ++rank) {
    const bool odd = rank == 1 || rank == 4;
    EXPECT_THAT(told, HasSubstr(line(rank, all[static_cast<std::size_t>(rank)], odd)));
  }
}

TEST(RequireEqualState, MarksNobodyWithoutAMajority) {
  const std::vector<std::pair<int, std::vector<Flip>>> votes = {
      {2, {{1, "fc2.bias"}}},                      // one against one
      {3, {{1, "fc2.bias"}, {2, "fc2.bias", 1}}},  // three opinions
      {4, {{1, "fc2.bias"}, {3, "fc2.bias"}}},     // two against two
      {4, {{0, "fc2.bias", 1}, {1, "fc2.bias"}}},  // two who agree are not more than half
  };
  for (const auto& [workers, flips] : votes) {
    const auto all = check(workers, flips);
    const std::string told = told_alike(all);
    EXPECT_THAT(told, AllOf(HasSubstr("cannot be told"), Not(HasSubstr("(odd one out)"))));
    for (int rank = 0; rank < workers; ++rank) {
      EXPECT_THAT(told, HasSubstr(line(rank, all[static_cast<std::size_t>(rank)])));
    }
  }
}

}  // namespace
}  // namespace lockstep
