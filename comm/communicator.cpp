#include "comm/communicator.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <thread>

namespace lockstep {

using namespace std::chrono_literals;

namespace {

constexpr int polls_before_yield = 100;

std::string_view name_of(Lane lane) {
  switch (lane) {
    case Lane::statistics:
      return "statistics";
    case Lane::scatter:
      return "scatter";
    case Lane::gather:
      return "gather";
  }
  return "?";
}

}  // namespace

std::string describe(const CallSite& call) {
  return fmt::format("{} '{}' ({} #{}, {})", call.kind, call.name, name_of(call.lane), call.sequence,
                     call.phase);
}

Pending::Pending(std::unique_ptr<Operation> operation, const Communicator* owner, CallSite site)
    : operation_(std::move(operation)),
      owner_(owner),
      site_(std::move(site)),
      last_poll_(operation_ ? Clock::now() : Clock::time_point()) {}

bool Pending::test() {
  if (!operation_) return true;
  try {
    if (operation_->poll()) {
      operation_.reset();
      return true;
    }
  } catch (const CommError& error) {
    owner_->fail(site_, error.what());
  }
  count_waiting();
  return false;
}

void Pending::wait() {
  for (int polls = 1; !test(); ++polls) {
    if (polls > polls_before_yield) std::this_thread::yield();
  }
}

// A worker that computes between two polls, or was stopped and goes on, does not wait: of such a gap only a
// small part counts, so that it never blames the others for its own time.
void Pending::count_waiting() {
  const std::chrono::milliseconds timeout = owner_->timeout();
  const auto now = Clock::now();
  waited_ += std::min<Clock::duration>(now - last_poll_, std::max(timeout / 1000, 10ms));
  last_poll_ = now;
  if (waited_ < timeout) return;
  owner_->fail(site_, fmt::format("not finished after {:g} s: another worker died, hung or fell out of step "
                                  "(comm.timeout_s is how long to wait for it)",
                                  std::chrono::duration<double>(timeout).count()));
}

void Communicator::fail(const CallSite& call, std::string_view reason) const {
  throw CommError(fmt::format("rank {} of {}: {}: {}", rank_, size_, describe(call), reason));
}

CallSite Communicator::begin(std::string_view kind, Lane lane, std::string_view name) {
  return {kind, std::string(name), lane, sequence_[static_cast<std::size_t>(lane)]++, phase_};
}

void Communicator::check(std::string_view name, std::span<const std::size_t> counts,
                         std::size_t total) const {
  if (counts.size() != static_cast<std::size_t>(size_)) {
    throw std::logic_error(fmt::format("'{}': {} counts for {} workers", name, counts.size(), size_));
  }
  const auto sum = std::accumulate(counts.begin(), counts.end(), std::size_t{0});
  if (sum != total) {
    throw std::logic_error(
        fmt::format("'{}': counts sum to {}, the buffer has {} elements", name, sum, total));
  }
}

void Communicator::check_own(std::string_view name, std::span<const std::size_t> counts,
                             std::size_t mine) const {
  const std::size_t count = counts[static_cast<std::size_t>(rank_)];
  if (count != mine) {
    throw std::logic_error(
        fmt::format("'{}': rank {} brings {} elements, its count is {}", name, rank_, mine, count));
  }
}

void Communicator::check_root(std::string_view name, int root) const {
  if (root < 0 || root >= size_) {
    throw std::logic_error(fmt::format("'{}': root {} of {} workers", name, root, size_));
  }
}

std::vector<std::size_t> Communicator::in_bytes(std::span<const std::size_t> counts, std::size_t element) {
  std::vector<std::size_t> bytes(counts.begin(), counts.end());
  for (auto& count : bytes) count *= element;
  return bytes;
}

}  // namespace lockstep
