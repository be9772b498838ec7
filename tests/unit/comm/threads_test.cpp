#include "comm/threads/threads.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <vector>

#include "tests/support/run_workers.h"

namespace lockstep::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

template <class Call>
std::string message_of(const Call& call) {
  try {
    call();
  } catch (const CommError& error) {
    return error.what();
  }
  return "no CommError";
}

void wait_for(const std::atomic<bool>& flag) {
  flag.wait(false);
}

void raise(std::atomic<bool>& flag) {
  flag = true;
  flag.notify_all();
}

TEST(Threads, every_rank_runs_once) {
  std::array<std::atomic<int>, 5> runs{};
  run_workers(5, [&](Communicator& comm) {
    EXPECT_EQ(comm.size(), 5);
    EXPECT_EQ(comm.transport(), "threads");
    ++runs[static_cast<std::size_t>(comm.rank())];
  });
  for (const auto& count : runs) EXPECT_EQ(count, 1);
}

TEST(Threads, barrier_holds_until_all_have_started_it) {
  std::atomic<int> arrived = 0;
  run_workers(4, [&](Communicator& comm) {
    for (int round = 1; round <= 20; ++round) {
      ++arrived;
      comm.barrier(Lane::statistics, "all").wait();
      EXPECT_GE(arrived, 4 * round);
      comm.barrier(Lane::statistics, "again").wait();
    }
  });
}

TEST(Threads, a_sender_may_change_its_buffer_once_it_has_finished) {
  std::atomic<bool> changed = false;
  run_workers(2, [&](Communicator& comm) {
    std::vector<int> mine = {comm.rank() + 10};
    std::vector<int> all(2);
    const std::vector<std::size_t> counts = {1, 1};
    Pending pending =
        comm.all_gather(Lane::gather, "values", std::span<const int>(mine), std::span(all), counts);
    if (comm.rank() == 0) {
      pending.wait();
      mine[0] = -1;
      raise(changed);
    } else {
      wait_for(changed);
      pending.wait();
    }
    EXPECT_EQ(all, (std::vector<int>{10, 11}));
  });
}

TEST(Threads, a_worker_that_does_not_come_is_given_up) {
  std::atomic<bool> over = false;
  std::string message;
  run_threads(2, [&](Communicator& comm) {
    if (comm.rank() == 1) return wait_for(over);
    comm.set_timeout(std::chrono::milliseconds(50));
    comm.set_phase("step 7 forward");
    message = message_of([&] { comm.barrier(Lane::scatter, "bn1 moments").wait(); });
    raise(over);
  });
  EXPECT_THAT(message,
              AllOf(HasSubstr("rank 0 of 2"), HasSubstr("barrier 'bn1 moments'"), HasSubstr("scatter #0"),
                    HasSubstr("step 7 forward"), HasSubstr("0.05 s"), HasSubstr("nothing from rank 1")));
}

TEST(Threads, different_kinds_at_one_position_are_both_named) {
  EXPECT_THAT(
      [] {
        run_workers(2, [](Communicator& comm) {
          std::vector<int> data(1);
          if (comm.rank() == 0) comm.barrier(Lane::gather, "epoch").wait();
          if (comm.rank() == 1) comm.broadcast(Lane::gather, "weights", std::span(data), 0).wait();
        });
      },
      ThrowsMessage<CommError>(AllOf(HasSubstr("fell out of step"), HasSubstr("barrier 'epoch'"),
                                     HasSubstr("broadcast 'weights'"), HasSubstr("gather #0"))));
}

TEST(Threads, different_names_at_one_position_are_both_named) {
  EXPECT_THAT(
      [] {
        run_workers(3, [](Communicator& comm) {
          comm.barrier(Lane::gather, "start").wait();
          comm.barrier(Lane::gather, comm.rank() == 2 ? "bn2" : "bn1").wait();
        });
      },
      ThrowsMessage<CommError>(AllOf(HasSubstr("'bn1' (gather #1"), HasSubstr("'bn2' (gather #1"))));
}

TEST(Threads, sizes_that_do_not_fit_are_told_with_both_ranks) {
  EXPECT_THAT(
      [] {
        run_workers(2, [](Communicator& comm) {
          std::vector<std::int32_t> data(comm.rank() == 0 ? 3 : 4);
          comm.broadcast(Lane::statistics, "weights", std::span(data), 0).wait();
        });
      },
      ThrowsMessage<CommError>(
          AllOf(HasSubstr("rank 0 sends 12 bytes"), HasSubstr("rank 1 expects 16"), HasSubstr("'weights'"))));
}

TEST(Threads, roots_that_differ_are_told) {
  EXPECT_THROW(run_workers(2,
                           [](Communicator& comm) {
                             std::vector<int> data(1);
                             comm.broadcast(Lane::statistics, "weights", std::span(data), comm.rank()).wait();
                           }),
               CommError);
}

TEST(Threads, the_first_cause_is_thrown_and_the_others_are_told) {
  std::atomic<int> told = 0;
  EXPECT_THAT(
      [&] {
        run_workers(4, [&](Communicator& comm) {
          comm.barrier(Lane::statistics, "start").wait();
          if (comm.rank() == 2) throw DataError("shard 5 is corrupt");
          try {
            comm.barrier(Lane::statistics, "moments").wait();
          } catch (const CommError& error) {
            if (std::string(error.what()).find("rank 2 failed: shard 5 is corrupt") != std::string::npos)
              ++told;
            throw;
          }
        });
      },
      ThrowsMessage<DataError>(HasSubstr("shard 5 is corrupt")));
  EXPECT_GE(told, 1);
}

TEST(Threads, of_several_causes_the_lowest_rank_s_is_thrown) {
  EXPECT_THAT(
      [] {
        run_workers(4, [](Communicator& comm) {
          if (comm.rank() >= 2) throw DataError("rank " + std::to_string(comm.rank()));
          comm.barrier(Lane::statistics, "moments").wait();
        });
      },
      ThrowsMessage<DataError>("rank 2"));
}

TEST(Threads, a_worker_that_ends_early_fails_those_who_wait_for_it) {
  EXPECT_THAT(
      [] {
        run_workers(3, [](Communicator& comm) {
          if (comm.rank() != 1) comm.barrier(Lane::statistics, "moments").wait();
        });
      },
      ThrowsMessage<CommError>(AllOf(HasSubstr("rank 1 has ended"), HasSubstr("barrier 'moments'"))));
}

TEST(Threads, what_all_have_started_finishes_although_one_fails_afterwards) {
  std::atomic<bool> failed = false;
  std::atomic<bool> finished = false;
  const auto run = [&] {
    run_workers(2, [&](Communicator& comm) {
      Pending pending = comm.barrier(Lane::statistics, "moments");
      if (comm.rank() == 0) {
        pending.wait();
        raise(failed);
        throw DataError("later");
      }
      wait_for(failed);
      pending.wait();
      finished = true;
    });
  };
  EXPECT_THROW(run(), DataError);
  EXPECT_TRUE(finished);
}

TEST(ThreadsDeathTest, abort_ends_the_process_with_the_code) {
  EXPECT_EXIT(run_threads(2,
                          [](Communicator& comm) {
                            if (comm.rank() == 1) comm.abort(ExitCode::stopped);
                            comm.barrier(Lane::statistics, "moments").wait();
                          }),
              testing::ExitedWithCode(75), "");
}

TEST(ThreadsDeathTest, a_worker_that_hangs_does_not_keep_the_process) {
  const auto run = [] {
    std::atomic<bool> never = false;
    run_threads(3, [&](Communicator& comm) {
      if (comm.rank() == 1) return wait_for(never);
      comm.set_timeout(std::chrono::milliseconds(50));
      comm.barrier(Lane::scatter, "bn1 moments").wait();
    });
  };
  EXPECT_EXIT(run(), testing::ExitedWithCode(4), "barrier 'bn1 moments'.*not finished after 0.05 s");
}

}  // namespace
}  // namespace lockstep::test
