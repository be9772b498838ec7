#include "comm/watch/call_history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lockstep::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

CallSite site(std::string name, std::uint64_t sequence, Collective kind = Collective::all_gather,
              Lane lane = Lane::statistics) {
  return {kind, std::move(name), lane, sequence, "step 7 forward", ElementType::f64};
}

using Sizes = std::vector<std::size_t>;

CallHistory history(const std::vector<CallSite>& sites) {
  CallHistory history;
  for (const CallSite& it : sites) history.record(it, Sizes{8, 8}, Sizes{8, 8});
  return history;
}

const std::vector<std::string> names = {"rank 0 on a", "rank 1 on b", "rank 2 on b"};

TEST(OrderKey, tells_what_must_be_called_alike_and_nothing_else) {
  const CallSite call = site("moments", 3);
  EXPECT_NE(order_key(call), order_key(site("sums", 3)));
  EXPECT_NE(order_key(call), order_key(site("moments", 4)));
  EXPECT_NE(order_key(call), order_key(site("moments", 3, Collective::all_to_all)));
  CallSite other = call;
  other.element = ElementType::f32;
  EXPECT_NE(order_key(call), order_key(other));
  other = call;
  other.phase = "elsewhere";
  EXPECT_EQ(order_key(call), order_key(other));
}

TEST(CallHistory, is_read_as_it_was_written) {
  CallHistory written;
  written.record(site("first, 'odd' name", 41), Sizes{0, 8, 8, 8}, Sizes{16, 0, 0, 1'000'000});
  written.record(site("second", 7, Collective::all_to_all, Lane::gather), Sizes{}, Sizes{1});
  const CallHistory read = CallHistory::decode(written.encode(10'000));
  ASSERT_EQ(read.calls().size(), 2U);
  const Call* call = read.at(Lane::statistics, 41);
  ASSERT_NE(call, nullptr);
  EXPECT_EQ(describe(call->site), "all_gather 'first, 'odd' name' (statistics #41, step 7 forward)");
  EXPECT_EQ(call->site.element, ElementType::f64);
  EXPECT_EQ(call->sends, (Sizes{0, 8, 8, 8}));
  EXPECT_EQ(call->receives, (Sizes{16, 0, 0, 1'000'000}));
  EXPECT_NE(read.at(Lane::gather, 7), nullptr);
  EXPECT_EQ(read.at(Lane::gather, 41), nullptr);
}

TEST(CallHistory, keeps_the_newest_and_sends_what_there_is_room_for) {
  CallHistory calls;
  for (std::uint64_t i = 0; i < 1'000; ++i) calls.record(site("moments", i), Sizes{8}, Sizes{8});
  EXPECT_NE(calls.at(Lane::statistics, 999), nullptr);
  EXPECT_EQ(calls.at(Lane::statistics, 0), nullptr);
  const std::string text = calls.encode(300);
  EXPECT_LE(text.size(), 300U);
  const CallHistory read = CallHistory::decode(text);
  EXPECT_NE(read.at(Lane::statistics, 999), nullptr);
  EXPECT_LT(read.calls().size(), calls.calls().size());
}

TEST(CallHistory, of_something_else_is_empty) {
  EXPECT_THAT(CallHistory::decode("").calls(), IsEmpty());
  EXPECT_THAT(CallHistory::decode("no history").calls(), IsEmpty());
}

TEST(Verdict, names_both_calls_that_do_not_fit) {
  const std::vector<std::optional<CallHistory>> told = {history({site("bn1", 4), site("bn2", 5)}),
                                                        history({site("bn1", 4), site("bn3", 5)})};
  EXPECT_THAT(
      verdict(site("bn2", 5), 0, told, names),
      AllOf(
          HasSubstr("fell out of step"),
          HasSubstr("rank 0 started all_gather 'bn2' (statistics #5, step 7 forward) of double, sending 16"),
          HasSubstr("rank 1 started all_gather 'bn3' (statistics #5, step 7 forward)")));
}

TEST(Verdict, names_the_first_of_several_contradictions) {
  const std::vector<std::optional<CallHistory>> told = {
      history({site("bn1", 4), site("bn2", 5)}),
      history({site("bn1", 4), site("bn2", 5)}),
      history({site("bn2", 4), site("bn3", 5)}),
  };
  EXPECT_THAT(verdict(site("bn2", 5), 0, told, names),
              AllOf(HasSubstr("rank 0 started all_gather 'bn1'"),
                    HasSubstr("rank 2 started all_gather 'bn2'"), Not(HasSubstr("bn3"))));
}

TEST(Verdict, finds_a_contradiction_on_another_lane_than_the_one_that_waits) {
  const std::vector<std::optional<CallHistory>> told = {
      history({site("moments", 4), site("bucket 1", 0, Collective::all_to_all, Lane::scatter)}),
      history({site("moments", 4), site("bucket 2", 0, Collective::all_to_all, Lane::scatter)})};
  EXPECT_THAT(verdict(site("moments", 4), 1, told, names), HasSubstr("'bucket 2' (scatter #0"));
}

TEST(Verdict, tells_sizes_that_do_not_fit) {
  CallHistory sender;
  sender.record(site("moments", 4), Sizes{8, 24}, Sizes{8, 8});
  CallHistory receiver;
  receiver.record(site("moments", 4), Sizes{8, 8}, Sizes{8, 8});
  const std::vector<std::optional<CallHistory>> told = {sender, receiver};
  EXPECT_THAT(verdict(site("moments", 4), 0, told, names),
              AllOf(HasSubstr("rank 0 sends 24 bytes in all_gather 'moments'"),
                    HasSubstr("rank 1 expects 8 from it")));
}

TEST(Verdict, tells_who_has_not_come_and_who_does_not_answer) {
  const std::vector<std::optional<CallHistory>> told = {history({site("go on", 4), site("bn1", 5)}),
                                                        history({site("go on", 4)}), std::nullopt};
  EXPECT_THAT(
      verdict(site("bn1", 5), 0, told, names),
      AllOf(HasSubstr("rank 1 on b has not started it: it started last all_gather 'go on' (statistics #4"),
            HasSubstr("no word from rank 2 on b, which last came to all_gather 'go on' (statistics #4"),
            Not(HasSubstr("rank 0"))));
}

}  // namespace
}  // namespace lockstep::test
