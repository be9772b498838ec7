#include "comm/nccl/devices.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "comm/base/error.h"

namespace lockstep::nccl {

namespace {

void refuse_without(const Seat& seat, std::size_t rank) {
  if (!seat.devices.empty()) return;
  throw UsageError(
      fmt::format("rank {} sees no GPU on {}, which comm.backend: nccl needs: nvidia-smi lists those that "
                  "there are, CUDA_VISIBLE_DEVICES may hide them, and CUDA 13 needs a driver from R580 on",
                  rank, seat.host));
}

[[noreturn]] void refuse_to_share(const std::vector<Seat>& seats, std::size_t rank) {
  const Seat& seat = seats[rank];
  const auto workers = std::ranges::count(seats, seat.host, &Seat::host);
  throw UsageError(fmt::format(
      "no GPU of {} is left for rank {}: it has {} worker(s), and this one sees {} GPU(s). Start at "
      "most as many workers a host as it has GPUs, or set LOCKSTEP_SHARE_GPUS=1 in the environment "
      "to let workers share them",
      seat.host, rank, workers, seat.devices.size()));
}

}  // namespace

std::vector<Choice> choose_devices(const std::vector<Seat>& seats, bool share) {
  std::map<std::pair<std::string, std::string>, int> takers;  // by host and GPU
  const auto takers_of = [&](const Seat& seat, const std::string& device) -> int& {
    return takers[{seat.host, device}];
  };
  std::vector<Choice> choices;
  choices.reserve(seats.size());
  for (std::size_t rank = 0; rank < seats.size(); ++rank) {
    const Seat& seat = seats[rank];
    refuse_without(seat, rank);
    const auto chosen = std::ranges::min_element(
        seat.devices, {}, [&](const std::string& device) { return takers_of(seat, device); });
    if (takers_of(seat, *chosen)++ != 0 && !share) refuse_to_share(seats, rank);
    choices.push_back({.device = static_cast<int>(chosen - seat.devices.begin())});
  }
  for (std::size_t rank = 0; rank < seats.size(); ++rank) {
    const Seat& seat = seats[rank];
    choices[rank].shared = takers_of(seat, seat.devices[static_cast<std::size_t>(choices[rank].device)]) > 1;
  }
  return choices;
}

}  // namespace lockstep::nccl
