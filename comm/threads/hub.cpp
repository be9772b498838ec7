#include "comm/threads/hub.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <numeric>

#include "comm/base/leave.h"

namespace lockstep {

namespace {

// Throws where what `from` sends is not what `to` expects.
void check_sizes(int from, const Contribution& sender, int to, const Contribution& receiver) {
  const std::size_t sent = sender.piece_for(to).size();
  const std::size_t expected = receiver.receives[static_cast<std::size_t>(from)];
  if (sent == expected) return;
  throw CommError(fmt::format("rank {} sends {} bytes in {}, rank {} expects {} from it in {}", from, sent,
                              describe(sender.call), to, expected, describe(receiver.call)));
}

void check_fit(int rank, const Contribution& mine, int other, const Contribution& theirs) {
  if (mine.call.kind != theirs.call.kind || mine.call.name != theirs.call.name ||
      mine.call.element != theirs.call.element) {
    throw CommError(fmt::format("fell out of step: rank {} started {} of {} where rank {} started {} of {}",
                                rank, describe(mine.call), name_of(mine.call.element), other,
                                describe(theirs.call), name_of(theirs.call.element)));
  }
  check_sizes(rank, mine, other, theirs);
  check_sizes(other, theirs, rank, mine);
}

}  // namespace

std::span<const std::byte> Contribution::piece_for(int rank) const {
  if (sends.empty()) return payload;
  const auto end = sends.begin() + rank;
  return std::span(payload).subspan(std::accumulate(sends.begin(), end, std::size_t{0}), *end);
}

Hub::Hub(int size) : left_(static_cast<std::size_t>(size)), told_(static_cast<std::size_t>(size)) {}

std::shared_ptr<const Meeting> Hub::join(int rank, Contribution contribution) {
  const std::lock_guard lock(mutex_);
  auto& lane = meetings_[static_cast<std::size_t>(contribution.call.lane)];
  const auto position = lane.try_emplace(contribution.call.sequence).first;
  if (!position->second) position->second = std::make_shared<Meeting>(static_cast<int>(left_.size()));
  const std::shared_ptr<Meeting> meeting = position->second;

  for (std::size_t other = 0; other < left_.size(); ++other) {
    const auto& theirs = meeting->contributions_[other];
    if (theirs) check_fit(rank, contribution, static_cast<int>(other), *theirs);
  }
  meeting->contributions_[static_cast<std::size_t>(rank)] = std::move(contribution);
  meeting->arrived_.fetch_add(1, std::memory_order_release);
  if (meeting->complete()) lane.erase(position);
  return meeting;
}

void Hub::leave(int rank, std::string why) {
  const std::lock_guard lock(mutex_);
  left_[static_cast<std::size_t>(rank)] = std::move(why);
  anyone_left_.store(true, std::memory_order_release);
  someone_left_.notify_all();
}

void Hub::await_all(std::chrono::milliseconds grace, std::string_view message) {
  std::unique_lock lock(mutex_);
  const auto all_left = [&] { return std::ranges::all_of(left_, [](const auto& why) { return !!why; }); };
  if (someone_left_.wait_for(lock, grace, all_left)) return;
  // The lock is kept, so that of several workers that gave up on the same one only the first says so.
  fmt::print(stderr, "{}\n", message);
  leave_process(ExitCode::peer);
}

std::vector<int> Hub::missing(const Meeting& meeting) {
  const std::lock_guard lock(mutex_);
  std::vector<int> ranks;
  for (std::size_t rank = 0; rank < left_.size(); ++rank) {
    if (!meeting.contributions_[rank]) ranks.push_back(static_cast<int>(rank));
  }
  return ranks;
}

void Hub::check(int rank, const Meeting& meeting) {
  if (!anyone_left_.load(std::memory_order_acquire)) return;
  const std::lock_guard lock(mutex_);
  for (std::size_t other = 0; other < left_.size(); ++other) {
    if (!left_[other] || meeting.contributions_[other]) continue;
    told_[static_cast<std::size_t>(rank)] = 1;
    throw CommError(fmt::format("rank {} {}", other, *left_[other]));
  }
}

}  // namespace lockstep
