#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <numeric>
#include <string>
#include <thread>

#include "comm/gradients/reducer.h"
#include "comm/nccl/nccl.h"
#include "comm/nccl/transport.h"
#include "comm/trace/trace.h"
#include "tests/support/nccl_double.h"
#include "tests/support/run_workers.h"
#include "tests/support/transport_suite.h"

namespace lockstep::test {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;
using Record = NcclDouble::Record;

// A job of workers that are threads, whose data doubles of NCCL move.
class NcclJob {
 public:
  explicit NcclJob(int size) : records_(static_cast<std::size_t>(size)), messages_(records_.size()) {}

  bool share = false;
  std::chrono::milliseconds timeout = 20s;
  std::function<void(NcclDouble&, int rank)> prepare = [](NcclDouble&, int) {};

  using Worker = std::function<void(Communicator&, NcclDouble&)>;

  // What a worker throws as a CommError is its message afterwards. All have ended before any of them is gone.
  void run(const Worker& worker) {
    run_threads(static_cast<int>(records_.size()), [&](Communicator& control) {
      control.set_timeout(timeout);
      const auto rank = static_cast<std::size_t>(control.rank());
      auto library = std::make_unique<NcclDouble>(world_, records_[rank]);
      NcclDouble& nccl = *library;
      prepare(nccl, control.rank());
      try {
        const auto comm = nccl::make_transport(control, std::move(library), share);
        worker(*comm, nccl);
      } catch (const CommError& error) {
        messages_[rank] = error.what();
      }
    });
  }

  Record& record(int rank) { return records_[static_cast<std::size_t>(rank)]; }
  const std::string& message(int rank) const { return messages_[static_cast<std::size_t>(rank)]; }

 private:
  NcclWorld world_;
  std::vector<Record> records_;
  std::vector<std::string> messages_;
};

class NcclTransport : public testing::TestWithParam<std::tuple<Behaviour, int>> {};

TEST_P(NcclTransport, behaves) {
  const Behaviour& behaviour = std::get<0>(GetParam());
  const int workers = std::get<1>(GetParam());
  NcclJob job(workers);
  job.run([&](Communicator& comm, NcclDouble&) { behaviour.check(comm); });
  for (int rank = 0; rank < workers; ++rank) {
    EXPECT_EQ(job.message(rank), "");
    EXPECT_TRUE(job.record(rank).left);
    EXPECT_FALSE(job.record(rank).aborted);
  }
}

TEST_P(NcclTransport, behaves_without_comparing_calls) {
  const Behaviour& behaviour = std::get<0>(GetParam());
  const int workers = std::get<1>(GetParam());
  NcclJob job(workers);
  job.run([&](Communicator& comm, NcclDouble&) {
    comm.set_check_order(false);
    behaviour.check(comm);
  });
  for (int rank = 0; rank < workers; ++rank) EXPECT_EQ(job.message(rank), "");
}

INSTANTIATE_TEST_SUITE_P(all, NcclTransport,
                         testing::Combine(testing::ValuesIn(transport_behaviours()),
                                          testing::Values(1, 2, 3, 4)),
                         [](const auto& test) {
                           return std::get<0>(test.param).name + "_with_" +
                                  std::to_string(std::get<1>(test.param)) + "_workers";
                         });

void gather(Communicator& comm) {
  const std::vector<double> mine(3, comm.rank());
  std::vector<double> all(3 * static_cast<std::size_t>(comm.size()));
  const std::vector<std::size_t> counts(static_cast<std::size_t>(comm.size()), 3);
  comm.set_phase("step 7 backward");
  comm.all_gather(Lane::scatter, "gradients", std::span<const double>(mine), std::span(all), counts).wait();
}

TEST(Nccl, memory_of_the_gpu_is_used_where_it_is) {
  NcclJob job(3);
  job.run([&](Communicator& comm, NcclDouble& nccl) {
    const int copies = job.record(comm.rank()).calls["copy"];
    auto* const begin = reinterpret_cast<std::int32_t*>(nccl.device_memory(16));
    const std::span<std::int32_t> data(begin, 4);
    if (comm.rank() == 1) std::iota(data.begin(), data.end(), 40);
    comm.broadcast(Lane::scatter, "weights", data, 1).wait();
    EXPECT_THAT(data, testing::ElementsAre(40, 41, 42, 43));
    EXPECT_EQ(job.record(comm.rank()).calls["copy"], copies);
  });
}

TEST(Nccl, memory_of_the_gpu_needs_no_other) {
  NcclJob job(2);
  job.run([&](Communicator& comm, NcclDouble& nccl) {
    auto* const begin = reinterpret_cast<std::int32_t*>(nccl.device_memory(16));
    auto& calls = job.record(comm.rank()).calls;
    const int before = calls["device_memory"] + calls["pinned_memory"];
    Pending first = comm.broadcast(Lane::scatter, "first", std::span(begin, 2), 1);
    Pending second = comm.broadcast(Lane::scatter, "second", std::span(begin + 2, 2), 1);
    first.wait();
    second.wait();
    EXPECT_EQ(calls["device_memory"] + calls["pinned_memory"], before);
  });
}

TEST(Nccl, statistics_are_not_its_own) {
  NcclJob job(2);
  job.run([&](Communicator& comm, NcclDouble&) {
    auto& calls = job.record(comm.rank()).calls;
    const int groups = calls["end_group"];
    suite::sums_of_integers_are_exact(comm);
    EXPECT_EQ(calls["end_group"], groups);
  });
}

TEST(Nccl, whoever_waits_for_statistics_hands_over_gradients) {
  NcclJob job(2);
  job.timeout = 3s;
  std::atomic<bool> waits = false;
  std::atomic<bool> handed_over = false;
  job.prepare = [&](NcclDouble& nccl, int rank) {
    nccl.at = [&, rank](std::string_view name, int) {
      if (rank == 1 && waits && name == "end_group") handed_over = true;
    };
  };
  job.run([&](Communicator& comm, NcclDouble&) {
    std::vector<int> weights(2, comm.rank());
    std::vector<int> sums(2, comm.rank());
    Pending gradients = comm.broadcast(Lane::gather, "weights", std::span(weights), 1);
    if (comm.rank() == 1) waits = true;
    while (comm.rank() == 0 && !handed_over) EXPECT_FALSE(gradients.test());
    comm.broadcast(Lane::statistics, "sums", std::span(sums), 0).wait();
    gradients.wait();
  });
  for (const int rank : {0, 1}) EXPECT_EQ(job.message(rank), "");
}

// Workers whose windows differ would start a scatter that others put off until a gather is through, which
// waits for that scatter.
TEST(Nccl, workers_with_other_windows_wait_for_nothing_while_tensors_are_to_come) {
  NcclJob job(2);
  job.run([&](Communicator& comm, NcclDouble&) {
    Trace trace(1, lane_count, 100);
    comm.set_trace(&trace);
    const std::size_t window = comm.rank() == 0 ? 1 : 3;
    GradientReducer reducer(comm, ShardLayout(2, 2, comm.rank()), {{0, 2}, {2, 4}, {4, 6}, {6, 8}},
                            {.bucket_bytes = 2 * sizeof(float), .small_bytes = 0, .window = window});
    std::vector<float> arena(8, 5);
    reducer.begin(std::vector<float*>{arena.data()}, arena.data(), 2);
    for (std::size_t tensor = 0; tensor < 3; ++tensor) reducer.ready(tensor);
    const auto gathered = [&] { return trace.lanes()[static_cast<std::size_t>(Lane::gather)].slices.size(); };
    const auto end = std::chrono::steady_clock::now() + 10s;
    while (gathered() < 3 && std::chrono::steady_clock::now() < end) reducer.progress();
    EXPECT_EQ(gathered(), 3);
    reducer.ready(3);
    reducer.finish();
    comm.set_trace(nullptr);
    EXPECT_EQ(arena, std::vector<float>(8, 10));
  });
  for (const int rank : {0, 1}) EXPECT_EQ(job.message(rank), "");
}

TEST(Nccl, a_failure_beside_is_told_with_its_own_call) {
  NcclJob job(2);
  job.run([&](Communicator& comm, NcclDouble&) {
    std::vector<std::int32_t> data(comm.rank() == 0 ? 3 : 4);
    Pending wrong = comm.broadcast(Lane::gather, "weights", std::span(data), 0);
    for (int i = 0; i < 20; ++i) gather(comm);
    wrong.wait();
  });
  EXPECT_THAT(job.message(1), AllOf(HasSubstr("broadcast 'weights'"), HasSubstr("expected were 16")));
}

TEST(Nccl, what_all_throw_alike_leaves_in_order) {
  Record record;
  const auto run = [&](const std::exception_ptr& thrown) {
    NcclWorld world;
    run_threads(1, [&](Communicator& control) {
      auto nccl = nccl::make_transport(control, std::make_unique<NcclDouble>(world, record), false);
      run_and_leave(std::move(nccl), [&](Communicator&) { std::rethrow_exception(thrown); });
    });
  };
  EXPECT_THROW(run(std::make_exception_ptr(DivergedError("nan"))), DivergedError);
  EXPECT_TRUE(record.left);
  EXPECT_FALSE(record.aborted);
  record = {};
  EXPECT_THROW(run(std::make_exception_ptr(std::logic_error("of one alone"))), std::logic_error);
  EXPECT_TRUE(record.aborted);
}

TEST(Nccl, a_step_like_the_one_before_allocates_nothing) {
  NcclJob job(2);
  job.run([&](Communicator& comm, NcclDouble&) {
    auto& calls = job.record(comm.rank()).calls;
    gather(comm);
    const int before = calls["device_memory"] + calls["pinned_memory"];
    for (int step = 0; step < 5; ++step) gather(comm);
    EXPECT_EQ(calls["device_memory"] + calls["pinned_memory"], before);
  });
}

TEST(Nccl, what_is_equally_long_is_one_call) {
  NcclJob job(3);
  job.run([&](Communicator& comm, NcclDouble&) {
    auto& calls = job.record(comm.rank()).calls;
    const int sent = calls["send"];
    gather(comm);
    EXPECT_EQ(calls["all_gather"], 1);
    EXPECT_EQ(calls["send"], sent);
  });
}

// Gathers slices of a bucket on the GPU; `apart`: with the last one's elsewhere.
void gather_slices(Communicator& comm, NcclDouble& nccl, bool apart) {
  constexpr std::size_t each = 5;
  const auto workers = static_cast<std::size_t>(comm.size());
  auto* const memory = reinterpret_cast<std::int32_t*>(nccl.device_memory((workers + 1) * each * 4));
  const auto slice = [&](int rank) {
    const bool elsewhere = apart && rank + 1 == comm.size() && rank != comm.rank();
    return std::span(memory + (static_cast<std::size_t>(rank) + (elsewhere ? 1 : 0)) * each, each);
  };
  std::ranges::copy(suite::message(comm.rank(), 0, each), slice(comm.rank()).begin());
  std::vector<Outgoing<std::int32_t>> out;
  std::vector<Incoming<std::int32_t>> in;
  for (int other = 0; other < comm.size(); ++other) {
    if (other == comm.rank()) continue;
    out.push_back({other, slice(comm.rank())});
    in.push_back({other, slice(other)});
  }
  comm.exchange(Lane::gather, "gradients", out, in).wait();
  for (int rank = 0; rank < comm.size(); ++rank) {
    EXPECT_THAT(slice(rank), testing::ElementsAreArray(suite::message(rank, 0, each))) << rank;
  }
}

TEST(Nccl, slices_of_a_bucket_are_gathered_in_one_call) {
  for (const int workers : {2, 3, 4}) {
    NcclJob job(workers);
    job.run([&](Communicator& comm, NcclDouble& nccl) {
      auto& calls = job.record(comm.rank()).calls;
      const int sent = calls["send"];
      gather_slices(comm, nccl, false);
      EXPECT_EQ(calls["all_gather"], 1);
      EXPECT_EQ(calls["send"], sent);
    });
    for (int rank = 0; rank < workers; ++rank) EXPECT_EQ(job.message(rank), "");
  }
}

TEST(Nccl, slices_are_sent_one_by_one_where_they_lie_apart_on_any_worker) {
  NcclJob job(3);
  job.run([&](Communicator& comm, NcclDouble& nccl) {
    gather_slices(comm, nccl, comm.rank() == 1);
    EXPECT_EQ(job.record(comm.rank()).calls["all_gather"], 0);
  });
  for (const int rank : {0, 1, 2}) EXPECT_EQ(job.message(rank), "");
}

TEST(Nccl, each_worker_of_a_host_has_a_gpu_of_its_own) {
  NcclJob job(3);
  job.prepare = [](NcclDouble& nccl, int rank) { nccl.host_name = rank == 1 ? "b" : "a"; };
  job.run([](Communicator&, NcclDouble&) {});
  EXPECT_EQ(job.record(0).device, 0);
  EXPECT_EQ(job.record(1).device, 0);
  EXPECT_EQ(job.record(2).device, 1);
  EXPECT_EQ(job.record(0).posed_as, "");
}

TEST(Nccl, workers_that_share_a_gpu_pose_as_hosts) {
  NcclJob job(3);
  job.prepare = [&](NcclDouble& nccl, int) { nccl.device_names = {"GPU-0", "GPU-1"}; };
  job.share = true;
  job.run([](Communicator&, NcclDouble&) {});
  EXPECT_EQ(job.record(0).posed_as, "here-0");
  EXPECT_EQ(job.record(1).posed_as, "");
  EXPECT_EQ(job.record(2).posed_as, "here-2");
}

TEST(Nccl, too_few_gpus_are_a_usage_error_of_all) {
  NcclJob job(2);
  job.prepare = [](NcclDouble& nccl, int) { nccl.device_names = {"GPU-0"}; };
  const auto worker = [&](Communicator&, NcclDouble&) { ADD_FAILURE(); };
  const auto run = [&] { job.run(worker); };
  EXPECT_THAT(run, testing::ThrowsMessage<UsageError>(HasSubstr("LOCKSTEP_SHARE_GPUS=1")));
}

TEST(Nccl, whoever_does_not_come_is_named_and_nothing_is_begun) {
  NcclJob job(3);
  std::atomic<int> given_up = 0;
  job.run([&](Communicator& comm, NcclDouble&) {
    auto& calls = job.record(comm.rank()).calls;
    const int groups = calls["end_group"];
    comm.set_timeout(100ms);
    if (comm.rank() == 1) {
      given_up.wait(0);
      return;
    }
    try {
      gather(comm);
    } catch (const CommError&) {
      EXPECT_EQ(calls["end_group"], groups);
      ++given_up;
      given_up.notify_all();
      throw;
    }
  });
  EXPECT_THAT(
      job.message(0) + job.message(2),
      AllOf(HasSubstr("all_gather 'gradients' (scatter #1, step 7 backward): not finished after 0.1 s"),
            HasSubstr("nothing from rank 1")));
}

TEST(Nccl, other_calls_are_both_named_and_neither_is_begun) {
  NcclJob job(2);
  job.run([&](Communicator& comm, NcclDouble&) {
    std::vector<int> data(2);
    if (comm.rank() == 0) gather(comm);
    if (comm.rank() == 1) comm.broadcast(Lane::scatter, "weights", std::span(data), 0).wait();
  });
  const std::string messages = job.message(0) + job.message(1);
  EXPECT_THAT(messages, AllOf(HasSubstr("all_gather 'gradients'"), HasSubstr("broadcast 'weights'"),
                              HasSubstr("fell out of step")));
  EXPECT_EQ(job.record(0).calls["all_gather"] + job.record(1).calls["broadcast"], 0);
}

TEST(Nccl, sizes_that_do_not_fit_are_told_on_both_sides_before_anything_is_written) {
  NcclJob job(2);
  job.run([](Communicator& comm, NcclDouble&) {
    std::vector<std::int32_t> data(comm.rank() == 0 ? 3 : 4);
    comm.broadcast(Lane::scatter, "weights", std::span(data), 0).wait();
  });
  EXPECT_THAT(job.message(0) + job.message(1), HasSubstr("broadcast 'weights'"));
  EXPECT_THAT(job.message(0) + job.message(1),
              testing::AnyOf(HasSubstr("rank 0 sends 12 bytes, expected were 16"),
                             HasSubstr("rank 1 expects 16 bytes, which are 12 here")));
  for (const int rank : {0, 1}) EXPECT_EQ(job.record(rank).calls["broadcast"], 0);
}

// What happens in a call of rank 1, once the job has come together.
void fail_later(NcclJob& job, const std::string& call) {
  job.prepare = [&, call](NcclDouble& nccl, int rank) {
    if (rank != 1) return;
    nccl.at = [&, call](std::string_view name, int) {
      const auto& calls = job.record(1).calls;
      if (name == call && calls.contains("all_gather")) throw CommError("NCCL: unhandled system error");
    };
  };
}

class NcclFailure : public testing::TestWithParam<const char*> {};

TEST_P(NcclFailure, is_told_with_its_call_and_ends_everything) {
  NcclJob job(2);
  fail_later(job, GetParam());
  job.run([](Communicator& comm, NcclDouble&) {
    if (comm.rank() == 0) comm.set_timeout(2s);
    gather(comm);
  });
  EXPECT_THAT(job.message(1),
              AllOf(HasSubstr("rank 1 of 2: all_gather 'gradients' (scatter #1, step 7 backward)"),
                    HasSubstr("NCCL: unhandled system error")));
  EXPECT_TRUE(job.record(1).aborted);
  EXPECT_FALSE(job.record(1).left);
}

INSTANTIATE_TEST_SUITE_P(in, NcclFailure, testing::Values("all_gather", "end_group", "settled", "reached"));

TEST(Nccl, what_never_ends_on_the_gpu_is_given_up) {
  NcclJob job(2);
  job.run([&](Communicator& comm, NcclDouble& nccl) {
    nccl.stands_still = comm.rank() == 0;
    comm.set_timeout(2s);
    gather(comm);
  });
  for (const int rank : {0, 1}) {
    EXPECT_THAT(job.message(rank),
                AllOf(HasSubstr("all_gather 'gradients'"), HasSubstr("not finished after 2 s"),
                      HasSubstr("nothing from another worker")));
    EXPECT_TRUE(job.record(rank).aborted);
  }
}

TEST(Nccl, whoever_cannot_join_fails_those_who_wait_for_it) {
  NcclJob job(2);
  job.timeout = 2s;
  job.prepare = [](NcclDouble& nccl, int rank) {
    nccl.at = [rank](std::string_view name, int) {
      if (rank == 1 && name == "join") throw CommError("NCCL: no way to rank 0");
    };
  };
  job.run([](Communicator&, NcclDouble&) { ADD_FAILURE(); });
  EXPECT_THAT(job.message(1),
              AllOf(HasSubstr("connect 'NCCL' (scatter #0, start)"), HasSubstr("no way to rank 0")));
  EXPECT_THAT(job.message(0), AllOf(HasSubstr("connect 'NCCL'"), HasSubstr("not finished after 2 s")));
  EXPECT_TRUE(job.record(0).aborted);
}

TEST(Nccl, whoever_does_not_leave_is_not_waited_for_for_ever) {
  NcclJob job(1);
  job.prepare = [&](NcclDouble& nccl, int) {
    nccl.at = [](std::string_view name, int) {
      if (name == "leave") throw CommError("NCCL: remote process exited");
    };
  };
  job.run([](Communicator& comm, NcclDouble&) { gather(comm); });
  EXPECT_EQ(job.message(0), "");
  EXPECT_TRUE(job.record(0).aborted);
}

TEST(Nccl, a_call_that_was_dropped_ends_everything) {
  NcclJob job(1);
  job.run([](Communicator& comm, NcclDouble&) {
    std::vector<int> data(2);
    (void)comm.broadcast(Lane::scatter, "weights", std::span(data), 0);
  });
  EXPECT_TRUE(job.record(0).aborted);
}

// Whoever drops it gives up the memory that NCCL is at.
TEST(Nccl, a_call_that_was_dropped_while_nccl_is_at_it_ends_it_at_once) {
  NcclJob job(1);
  job.run([&](Communicator& comm, NcclDouble& nccl) {
    Record& record = job.record(0);
    const int groups = record.calls["end_group"];
    std::vector<int> data(2);
    nccl.stands_still = true;
    Pending call = comm.broadcast(Lane::scatter, "weights", std::span(data), 0);
    while (record.calls["end_group"] == groups) EXPECT_FALSE(call.test());
    EXPECT_FALSE(record.aborted);
    call = Pending();
    EXPECT_TRUE(record.aborted);
  });
}

TEST(Nccl, a_build_without_it_says_how_to_get_it) {
  if (has_nccl()) GTEST_SKIP() << "this build has it";
  EXPECT_EQ(visible_gpus(), 0);
  const auto make = [] { run_workers(1, [](Communicator& comm) { (void)make_nccl(comm); }); };
  EXPECT_THAT(make, testing::ThrowsMessage<UsageError>(
                        AllOf(HasSubstr("--preset cuda"), HasSubstr("scripts/cuda_toolkit.sh"))));
}

}  // namespace
}  // namespace lockstep::test
