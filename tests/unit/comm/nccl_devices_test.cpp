#include "comm/nccl/devices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "comm/base/error.h"

namespace lockstep::nccl {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

std::vector<int> devices(const std::vector<Seat>& seats, bool share = false) {
  std::vector<int> numbers;
  for (const Choice& choice : choose_devices(seats, share)) numbers.push_back(choice.device);
  return numbers;
}

std::vector<bool> shared(const std::vector<Seat>& seats) {
  std::vector<bool> all;
  for (const Choice& choice : choose_devices(seats, true)) all.push_back(choice.shared);
  return all;
}

TEST(Devices, the_workers_of_a_host_get_its_gpus_in_the_order_of_ranks) {
  const Seat a{"a", {"x", "y"}};
  const Seat b{"b", {"z"}};
  EXPECT_THAT(devices({a, b, a}), ElementsAre(0, 0, 1));
}

TEST(Devices, gpus_of_one_name_on_two_hosts_are_two) {
  EXPECT_THAT(devices({{"a", {"x"}}, {"b", {"x"}}}), ElementsAre(0, 0));
}

TEST(Devices, a_worker_that_is_shown_its_own_gets_that) {
  EXPECT_THAT(devices({{"a", {"x"}}, {"a", {"y"}}, {"a", {"x", "y", "z"}}}), ElementsAre(0, 0, 2));
}

TEST(Devices, without_leave_to_share_too_few_are_refused_with_host_and_remedies) {
  EXPECT_THAT(
      [] {
        devices({{"a", {"x"}}, {"b", {"y"}}, {"a", {"x"}}});
      },
      ThrowsMessage<UsageError>(AllOf(HasSubstr("no GPU of a is left for rank 2"), HasSubstr("2 worker(s)"),
                                      HasSubstr("1 GPU(s)"), HasSubstr("LOCKSTEP_SHARE_GPUS=1"))));
}

TEST(Devices, those_who_may_share_are_spread_evenly) {
  const Seat seat{"a", {"x", "y"}};
  EXPECT_THAT(devices({seat, seat, seat, seat, seat}, true), ElementsAre(0, 1, 0, 1, 0));
  EXPECT_THAT(shared({seat, seat, seat}), ElementsAre(true, false, true));
  EXPECT_THAT(shared({seat, seat}), ElementsAre(false, false));
}

TEST(Devices, a_worker_that_sees_none_is_refused_even_if_it_may_share) {
  EXPECT_THAT(
      [] {
        devices({{"a", {"x"}}, {"b", {}}}, true);
      },
      ThrowsMessage<UsageError>(AllOf(HasSubstr("rank 1 sees no GPU on b"), HasSubstr("nvidia-smi"))));
}

}  // namespace
}  // namespace lockstep::nccl
