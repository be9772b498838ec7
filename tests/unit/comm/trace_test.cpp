#include "comm/trace/trace.h"

#include <gmock/gmock.h>

#include <thread>

#include "comm/single/single.h"
#include "tests/support/run_workers.h"

namespace lockstep {
namespace {

using testing::ElementsAre;

std::vector<std::string> names(const Trace::Track& track, const std::string& kind) {
  std::vector<std::string> found;
  for (const Trace::Slice& slice : track.slices) {
    EXPECT_LE(slice.begin, slice.end);
    if (slice.kind == kind) found.push_back(*slice.name + (slice.part->empty() ? "" : ": ") + *slice.part);
  }
  return found;
}

TEST(Trace, KeepsTheTextsOfItsSlices) {
  Trace trace(2, 1, 100);
  {
    const std::string gone = "conv1";
    const TraceSpan outer(&trace, "forward", gone, "again", 1, 7);
    const TraceSpan inner(&trace, "forward", "inside", "", 1);
  }
  EXPECT_THAT(names(trace.threads()[1], "forward"), ElementsAre("inside", "conv1: again"));
  EXPECT_EQ(trace.threads()[1].slices[1].number, 7);
  EXPECT_TRUE(trace.threads()[0].slices.empty());
}

TEST(Trace, NothingIsRecordedWithoutOne) {
  const TraceSpan span(nullptr, "forward", "conv1");
}

TEST(Trace, PhasesFollowEachOther) {
  Trace trace(1, 0, 100);
  trace.phase("start");
  trace.phase("start");
  trace.phase("step 1");
  trace.end_phase();
  const auto& slices = trace.threads()[0].slices;
  EXPECT_THAT(names(trace.threads()[0], "phase"), ElementsAre("start", "step 1"));
  EXPECT_EQ(slices[0].end, slices[1].begin);
}

TEST(Trace, RecordsNoMoreThanItMay) {
  Trace trace(2, 1, 5);
  trace.begin_step(1);
  for (int i = 0; i < 4; ++i) const TraceSpan span(&trace, "work", "a");
  EXPECT_FALSE(trace.full());
  trace.begin_step(2);
  std::thread([&] {
    for (int i = 0; i < 4; ++i) const TraceSpan span(&trace, "work", "b", "", 1);
  }).join();
  EXPECT_TRUE(trace.full());
  trace.begin_step(3);
  trace.add_collective(0, "c", "all_gather", {});
  EXPECT_EQ(trace.threads()[0].slices.size(), 4U);
  EXPECT_EQ(trace.threads()[1].slices.size(), 1U);
  EXPECT_TRUE(trace.lanes()[0].slices.empty());
  ASSERT_EQ(trace.steps().size(), 2U);
  EXPECT_EQ(trace.steps()[1].first, 2);
}

TEST(Trace, ACommunicatorRecordsItsPhasesCollectivesAndWaiting) {
  test::run_workers(2, [](Communicator& comm) {
    Trace trace(1, lane_count, 100);
    comm.barrier(Lane::statistics, "before").wait();
    comm.set_trace(&trace);
    comm.set_phase("step 1");
    comm.barrier(Lane::scatter, "one").wait();
    // What rank 1 does only when rank 0 has waited for it in vain.
    Pending second = comm.rank() == 0 ? comm.barrier(Lane::gather, "two") : Pending();
    if (comm.rank() == 0) {
      EXPECT_FALSE(second.test());
    }
    comm.barrier(Lane::scatter, "three").wait();
    if (comm.rank() == 1) second = comm.barrier(Lane::gather, "two");
    second.wait();
    comm.set_trace(nullptr);
    comm.barrier(Lane::statistics, "after").wait();
    trace.end_phase();

    EXPECT_THAT(names(trace.lanes()[0], "collective"), testing::IsEmpty());
    EXPECT_THAT(names(trace.lanes()[1], "collective"), ElementsAre("one: barrier", "three: barrier"));
    EXPECT_THAT(names(trace.lanes()[2], "collective"), ElementsAre("two: barrier"));
    EXPECT_EQ(trace.lanes()[1].slices[1].number, 1);
    EXPECT_THAT(names(trace.threads()[0], "phase"), ElementsAre("start", "step 1"));
    for (const std::string& name : names(trace.threads()[0], "wait")) {
      EXPECT_THAT(name, testing::AnyOf("one", "two", "three"));
    }
    const Trace::Slice& two = trace.lanes()[2].slices[0];
    const Trace::Slice& three = trace.lanes()[1].slices[1];
    EXPECT_EQ(two.begin < three.begin, comm.rank() == 0);
  });
}

TEST(Trace, AloneCollectivesAreRecordedToo) {
  const auto comm = make_single();
  Trace trace(1, lane_count, 100);
  comm->set_trace(&trace);
  comm->barrier(Lane::gather, "alone").wait();
  comm->set_trace(nullptr);
  EXPECT_THAT(names(trace.lanes()[2], "collective"), ElementsAre("alone: barrier"));
  EXPECT_THAT(names(trace.threads()[0], "wait"), testing::IsEmpty());
}

}  // namespace
}  // namespace lockstep
