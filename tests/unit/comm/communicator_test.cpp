#include "comm/communicator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <sstream>
#include <thread>

#include "comm/base/hash.h"
#include "comm/single/single.h"

namespace lockstep::test {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

// Finishes at the poll with this number.
class Countdown final : public Operation {
 public:
  Countdown(int polls, int& polled) : left_(polls), polled_(polled) {}
  bool poll() override {
    ++polled_;
    return --left_ == 0;
  }

 private:
  int left_;
  int& polled_;
};

constexpr int never = -1;

CallSite call() {
  return {Collective::all_gather, "bn1 moments", Lane::statistics, 42, "step 7 forward", ElementType::f64};
}

TEST(Pending, waits_until_the_operation_has_finished) {
  const auto comm = make_single();
  int polled = 0;
  Pending pending(std::make_unique<Countdown>(250, polled), comm.get(), call());
  EXPECT_FALSE(pending.test());
  pending.wait();
  EXPECT_EQ(polled, 250);
  EXPECT_FALSE(pending.active());
}

TEST(Pending, is_not_polled_any_more_after_it_finished) {
  const auto comm = make_single();
  int polled = 0;
  Pending pending(std::make_unique<Countdown>(1, polled), comm.get(), call());
  EXPECT_TRUE(pending.test());
  EXPECT_TRUE(pending.test());
  pending.wait();
  EXPECT_EQ(polled, 1);
}

TEST(Pending, moves_without_a_copy_left_behind) {
  const auto comm = make_single();
  int polled = 0;
  Pending first(std::make_unique<Countdown>(2, polled), comm.get(), call());
  Pending second(std::move(first));
  EXPECT_FALSE(first.active());  // NOLINT(bugprone-use-after-move): that is the question
  EXPECT_TRUE(second.active());
  first = std::move(second);
  first.wait();
  EXPECT_EQ(polled, 2);
}

TEST(Pending, gives_up_after_the_deadline_and_says_what_it_waited_for) {
  const auto comm = make_single();
  comm->set_timeout(50ms);
  int polled = 0;
  Pending pending(std::make_unique<Countdown>(never, polled), comm.get(), call());
  EXPECT_THAT([&] { pending.wait(); },
              ThrowsMessage<CommError>(AllOf(HasSubstr("rank 0 of 1"), HasSubstr("all_gather 'bn1 moments'"),
                                             HasSubstr("statistics #42"), HasSubstr("step 7 forward"),
                                             HasSubstr("0.05 s"))));
}

TEST(Pending, warns_once_before_it_gives_up) {
  std::ostringstream told;
  const auto before = spdlog::default_logger();
  spdlog::set_default_logger(
      std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(told)));
  const auto comm = make_single();
  comm->set_timeout(50ms);
  int polled = 0;
  Pending pending(std::make_unique<Countdown>(never, polled), comm.get(), call());
  EXPECT_THROW(pending.wait(), CommError);
  spdlog::set_default_logger(before);
  EXPECT_THAT(told.str(),
              AllOf(HasSubstr("all_gather 'bn1 moments'"), HasSubstr("still waiting for another worker")));
  EXPECT_EQ(told.str().find("still waiting"), told.str().rfind("still waiting"));
}

TEST(Pending, gives_up_when_it_is_only_tested) {
  const auto comm = make_single();
  comm->set_timeout(50ms);
  int polled = 0;
  Pending pending(std::make_unique<Countdown>(never, polled), comm.get(), call());
  EXPECT_THROW(while (!pending.test()){}, CommError);
}

TEST(Pending, does_not_count_time_that_its_worker_spent_elsewhere) {
  const auto comm = make_single();
  comm->set_timeout(200ms);
  int polled = 0;
  Pending pending(std::make_unique<Countdown>(3, polled), comm.get(), call());
  for (int poll = 0; poll < 2; ++poll) {
    std::this_thread::sleep_for(250ms);
    EXPECT_FALSE(pending.test());
  }
  EXPECT_TRUE(pending.test());
}

TEST(Single, refuses_to_send_itself_something_else_than_it_receives) {
  const auto comm = make_single();
  const std::vector<int> send(2);
  std::vector<int> receive(3);
  const std::vector<std::size_t> two = {2};
  const std::vector<std::size_t> three = {3};
  EXPECT_THROW((void)comm->all_to_all(Lane::scatter, "odd", std::span<const int>(send), two,
                                      std::span(receive), three),
               std::logic_error);
}

TEST(SingleDeathTest, abort_ends_the_process_with_the_code) {
  EXPECT_EXIT(make_single()->abort(ExitCode::data), testing::ExitedWithCode(3), "");
}

TEST(Hash, is_xxh3_of_the_bytes_and_the_seed) {
  EXPECT_EQ(hash64(std::string_view()), 0x2d06800538d394c2U);
  EXPECT_EQ(hash64("weights"), hash64(std::as_bytes(std::span("weights", 7))));
  EXPECT_NE(hash64("weights", 1), hash64("weights", 2));
}

}  // namespace
}  // namespace lockstep::test
