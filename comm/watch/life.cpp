#include "comm/watch/life.h"

#include <fmt/format.h>

#include <atomic>
#include <mutex>

namespace lockstep {

namespace {

std::atomic<bool> ending{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler sets it");

struct Life {
  std::atomic<std::uint64_t> signs{0};
  std::mutex mutex;
  std::string phase;
  CallSite call;
};

// Never destroyed: threads may show signs of life while the process ends.
Life& life() {
  static auto* const it = new Life;
  return *it;
}

}  // namespace

void alive() noexcept {
  life().signs.fetch_add(1, std::memory_order_relaxed);
}

void alive_in(std::string_view phase) {
  alive();
  const std::lock_guard lock(life().mutex);
  life().phase = phase;
}

void alive_in(const CallSite& call) {
  alive();
  const std::lock_guard lock(life().mutex);
  life().call = call;
}

void told_to_end() noexcept {
  ending = true;
}

bool is_told_to_end() noexcept {
  return ending;
}

std::uint64_t signs_of_life() noexcept {
  return life().signs.load(std::memory_order_relaxed);
}

std::string last_place() {
  // A thread that stands still while it holds the lock must not hold the watchdog too.
  const std::unique_lock lock(life().mutex, std::try_to_lock);
  if (!lock) return "an unknown phase";
  const auto place = fmt::format("phase '{}'", life().phase.empty() ? "launch" : life().phase);
  return life().call.kind == Collective::none ? place
                                              : fmt::format("{}, behind {}", place, describe(life().call));
}

}  // namespace lockstep
