#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "comm/gradients/buckets.h"
#include "comm/gradients/reducer.h"
#include "comm/gradients/window.h"
#include "comm/single/single.h"
#include "tests/support/run_workers.h"

namespace lockstep::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(Buckets, end_with_the_tensor_that_fills_them_and_the_first_is_an_eighth) {
  const std::vector<Range> tensors = {{0, 5}, {5, 11}, {11, 60}, {60, 91}, {91, 171}, {171, 172}};
  EXPECT_THAT(plan_buckets(tensors, 80),
              ElementsAre(Range{0, 11}, Range{11, 91}, Range{91, 171}, Range{171, 172}));
}

TEST(Buckets, tensors_that_overfill_one_are_cut_into_equal_parts) {
  EXPECT_THAT(plan_buckets(std::vector<Range>{{0, 10}, {10, 60}, {60, 211}, {211, 212}}, 80),
              ElementsAre(Range{0, 10}, Range{10, 77}, Range{77, 144}, Range{144, 211}, Range{211, 212}));
}

TEST(Buckets, none_is_longer_than_asked_even_where_one_tensor_is_larger_than_MPI_can_count) {
  const std::int64_t elements = 3'000'000'000;
  const std::vector<Range> buckets = plan_buckets(std::vector<Range>{{0, elements}}, 1 << 20);
  std::int64_t end = 0;
  for (const Range bucket : buckets) {
    EXPECT_EQ(bucket.begin, end);
    EXPECT_LE(bucket.size(), 1 << 20);
    end = bucket.end;
  }
  EXPECT_EQ(end, elements);
}

TEST(Buckets, tensors_without_elements_make_none_of_their_own) {
  EXPECT_THAT(plan_buckets(std::vector<Range>{{0, 0}, {0, 9}, {9, 9}}, 9), ElementsAre(Range{0, 9}));
  EXPECT_THAT(plan_buckets({}, 80), IsEmpty());
}

TEST(Buckets, tensors_with_a_gap_are_a_bug) {
  EXPECT_THROW(plan_buckets(std::vector<Range>{{0, 4}, {5, 8}}, 80), std::logic_error);
}

TEST(Reducer, brings_an_arena_for_each_subtree_of_the_block) {
  const auto nodes = [](int workers, int rank) {
    std::vector<Range> result;
    run_workers(workers, [&](Communicator& comm) {
      const GradientReducer reducer(comm, ShardLayout(8, workers, comm.rank()), {}, {});
      if (comm.rank() == rank) result = reducer.nodes();
    });
    return result;
  };
  EXPECT_THAT(nodes(1, 0), ElementsAre(Range{0, 8}));
  EXPECT_THAT(nodes(2, 1), ElementsAre(Range{4, 8}));
  EXPECT_THAT(nodes(3, 1), ElementsAre(Range{3, 4}, Range{4, 6}));
}

TEST(Reducer, alone_copies_its_only_node) {
  const auto comm = make_single();
  GradientReducer reducer(*comm, ShardLayout(4, 1, 0), {{0, 2}, {2, 3}}, {});
  std::vector<float> arena = {1, 2, 3};
  std::vector<float> out(3);
  reducer.begin(std::vector<float*>{arena.data()}, out.data(), 4);
  reducer.ready(0);
  reducer.ready(1);
  reducer.finish();
  EXPECT_EQ(out, arena);
}

TEST(Reducer, without_overlap_sends_nothing_before_the_end) {
  run_workers(2, [](Communicator& comm) {
    GradientReducer reducer(comm, ShardLayout(2, 2, comm.rank()), {{0, 2}},
                            {.bucket_bytes = 0, .small_bytes = 0, .overlap = false});
    std::vector<float> arena = {1, 1};
    reducer.begin(std::vector<float*>{arena.data()}, arena.data(), 2);
    reducer.ready(0);
    // Had anything been started, its data would be on their way already.
    arena = {static_cast<float>(comm.rank() + 1), 5};
    reducer.finish();
    EXPECT_THAT(arena, ElementsAre(3, 10));
  });
}

TEST(Reducer, sends_nothing_before_the_end_of_a_step_that_is_not_to_overlap) {
  run_workers(2, [](Communicator& comm) {
    GradientReducer reducer(comm, ShardLayout(2, 2, comm.rank()), {{0, 2}},
                            {.bucket_bytes = 0, .small_bytes = 0});
    std::vector<float> arena = {1, 1};
    reducer.begin(std::vector<float*>{arena.data()}, arena.data(), 2, false);
    reducer.ready(0);
    arena = {static_cast<float>(comm.rank() + 1), 5};
    reducer.finish();
    EXPECT_THAT(arena, ElementsAre(3, 10));
  });
}

TEST(Window, is_halved_while_nobody_waits_and_doubled_where_they_do) {
  EXPECT_EQ(next_window(12, 12, 0.001), 6);
  EXPECT_EQ(next_window(1, 12, 0), 1);
  EXPECT_EQ(next_window(3, 12, 0.01), 3);
  EXPECT_EQ(next_window(3, 12, 0.02), 6);
  EXPECT_EQ(next_window(8, 12, 1), 12);
  EXPECT_EQ(next_window(std::numeric_limits<std::size_t>::max(), 12, 0.01), 12);
}

// How many of six buckets have been sent once five of them are ready, before anything was polled.
std::size_t sent_at_once(std::size_t window) {
  std::size_t sent = 0;
  run_workers(2, [&](Communicator& comm) {
    Trace trace(1, lane_count, 100);
    comm.set_trace(&trace);
    const std::vector<Range> tensors = {{0, 1}, {1, 2}, {2, 3}, {3, 4}, {4, 5}, {5, 6}};
    GradientReducer reducer(comm, ShardLayout(2, 2, comm.rank()), tensors,
                            {.bucket_bytes = sizeof(float), .window = window});
    std::vector<float> arena(tensors.size(), 5);
    reducer.begin(std::vector<float*>{arena.data()}, arena.data(), 2);
    for (std::size_t tensor = 0; tensor < 5; ++tensor) reducer.ready(tensor);
    if (comm.rank() == 0) sent = trace.threads().front().slices.size();
    reducer.ready(5);
    reducer.finish();
    comm.set_trace(nullptr);
    EXPECT_EQ(arena, std::vector<float>(tensors.size(), 10));
  });
  return sent;
}

TEST(Reducer, sends_no_more_buckets_at_once_than_its_window_has_while_others_are_to_come) {
  EXPECT_EQ(sent_at_once(1), 1);
  EXPECT_EQ(sent_at_once(3), 3);
  EXPECT_EQ(sent_at_once(100), 5);
}

// Whether two workers sum so many bytes of fives in slices, which they then gather.
bool in_slices(std::size_t bytes) {
  const std::size_t elements = bytes / sizeof(float);
  std::size_t gathered = 0;
  run_workers(2, [&](Communicator& comm) {
    Trace trace(1, lane_count, 10);
    comm.set_trace(&trace);
    GradientReducer reducer(comm, ShardLayout(2, 2, comm.rank()), {{0, static_cast<std::int64_t>(elements)}},
                            {.small_bytes = 32 << 10, .short_bytes = 2 << 10});
    std::vector<float> arena(elements, 5);
    reducer.begin(std::vector<float*>{arena.data()}, arena.data(), 2);
    reducer.ready(0);
    reducer.finish();
    comm.set_trace(nullptr);
    EXPECT_EQ(arena, std::vector<float>(elements, 10));
    if (comm.rank() == 0) gathered = trace.lanes()[static_cast<std::size_t>(Lane::gather)].slices.size();
  });
  return gathered == 1;
}

TEST(Reducer, a_small_bucket_goes_whole_unless_its_slices_alone_are_short) {
  EXPECT_FALSE(in_slices(2 << 10));
  EXPECT_TRUE(in_slices(4 << 10));
  EXPECT_FALSE(in_slices(8 << 10));
  EXPECT_FALSE(in_slices(32 << 10));
  EXPECT_TRUE(in_slices(64 << 10));
}

struct CountedMemory final : GradientMemory {
  std::shared_ptr<float> floats(std::size_t count) const override {
    ++taken;
    return GradientMemory::floats(count);
  }
  mutable int taken = 0;
};

TEST(Reducer, takes_memory_while_nothing_is_under_way) {
  for (const int workers : {1, 2, 3, 8}) {
    run_workers(workers, [&](Communicator& comm) {
      const CountedMemory memory;
      const ShardLayout layout(24, workers, comm.rank());
      GradientReducer reducer(comm, layout, {{0, 40}, {40, 90}},
                              {.bucket_bytes = 200, .small_bytes = 60, .most_at_once = 2, .memory = &memory});
      std::vector<std::vector<float>> arenas(reducer.nodes().size(), std::vector<float>(90, 1));
      std::vector<float*> starts;
      starts.reserve(arenas.size());
      for (auto& arena : arenas) starts.push_back(arena.data());
      for (const std::int64_t present : {24, 5}) {
        reducer.begin(starts, starts.front(), present);
        const int taken = memory.taken;
        reducer.ready(0);
        reducer.ready(1);
        reducer.finish();
        EXPECT_EQ(memory.taken, taken) << workers << " workers, " << present << " shards with samples";
      }
    });
  }
}

TEST(Reducer, calls_out_of_order_are_bugs) {
  const auto comm = make_single();
  GradientReducer reducer(*comm, ShardLayout(4, 1, 0), {{0, 2}, {2, 3}}, {});
  std::vector<float> arena(3);
  const std::vector<float*> arenas = {arena.data()};
  EXPECT_THROW(reducer.ready(0), std::logic_error);
  EXPECT_THROW(reducer.begin({}, arena.data(), 4), std::logic_error);
  EXPECT_THROW(reducer.begin(arenas, arena.data(), 0), std::logic_error);
  reducer.begin(arenas, arena.data(), 4);
  EXPECT_THROW(reducer.ready(1), std::logic_error);
  reducer.ready(0);
  EXPECT_THROW(reducer.finish(), std::logic_error);
  EXPECT_THROW(reducer.begin(arenas, arena.data(), 4), std::logic_error);
  reducer.ready(1);
  EXPECT_THROW(reducer.ready(2), std::logic_error);
  reducer.finish();
}

}  // namespace
}  // namespace lockstep::test
