#include "comm/communicator.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <numeric>
#include <thread>

#include "comm/watch/life.h"

namespace lockstep {

using namespace std::chrono_literals;

namespace {

constexpr int polls_before_yield = 100;
constexpr auto between_listening = 10ms;  // of waiting
constexpr auto noticeable = 300ms;        // longer than workers that all get on wait for each other

double in_seconds(std::chrono::milliseconds duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

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

std::string_view name_of(Collective kind) {
  switch (kind) {
    case Collective::none:
      break;
    case Collective::broadcast:
      return "broadcast";
    case Collective::all_gather:
      return "all_gather";
    case Collective::all_to_all:
      return "all_to_all";
    case Collective::exchange:
      return "exchange";
    case Collective::barrier:
      return "barrier";
    case Collective::connect:
      return "connect";
    case Collective::leave:
      return "leave";
  }
  return "?";
}

std::string describe(const CallSite& call) {
  return fmt::format("{} '{}' ({} #{}, {})", name_of(call.kind), call.name, name_of(call.lane), call.sequence,
                     call.phase);
}

Pending::Pending(std::unique_ptr<Operation> operation, Communicator* owner, CallSite site)
    : operation_(std::move(operation)), owner_(owner), site_(std::move(site)) {
  if (!operation_) finished();
}

bool Pending::test() {
  if (!operation_) return true;
  alive();
  try {
    if (operation_->poll()) {
      operation_.reset();
      finished();
      return true;
    }
  } catch (const CommError& error) {
    owner_->fail(site_, error.what(), waited_);
  }
  count_waiting();
  return false;
}

void Pending::wait() {
  if (test()) return;
  const TraceSpan span(owner_->trace(), "wait", site_.name);
  for (int polls = 2; !test(); ++polls) {
    if (polls > polls_before_yield) std::this_thread::yield();
  }
}

void Pending::finished() {
  Trace* const trace = owner_->trace();
  if (trace == nullptr || site_.started == Clock::time_point()) return;
  trace->add_collective(static_cast<int>(site_.lane), site_.name, name_of(site_.kind),
                        {.kind = "collective",
                         .number = static_cast<std::int64_t>(site_.sequence),
                         .begin = site_.started,
                         .end = Clock::now()});
}

// A worker that computes between two polls, or was stopped and goes on, does not wait: of such a gap only a
// small part counts, so that it never blames the others for its own time.
void Pending::count_waiting() {
  const std::chrono::milliseconds timeout = owner_->timeout();
  const auto now = Clock::now();
  if (last_poll_) waited_ += std::min<Clock::duration>(now - *last_poll_, std::max(timeout / 100, 50ms));
  last_poll_ = now;
  if (waited_ >= listened_ + between_listening) {
    listened_ = waited_;
    hear_the_others();
  }
  // A launcher that lost a worker tells the others to end, and soon kills them.
  const bool last_words = is_told_to_end() && waited_ >= noticeable;
  if ((waited_ >= timeout / 2 || last_words) && !warned_) {
    warned_ = true;
    warn();
  }
  if (waited_ >= timeout) give_up();
}

void Pending::hear_the_others() {
  try {
    owner_->listen();
  } catch (const CommError& error) {
    owner_->fail(site_, error.what(), waited_);
  }
}

// Of all workers that wait for the same ones, the first speaks.
void Pending::warn() {
  const std::vector<int> missing = operation_->missing();
  int speaker = 0;
  while (std::ranges::count(missing, speaker) != 0) ++speaker;
  if (owner_->rank() != speaker) return;
  const auto waited = std::chrono::duration_cast<std::chrono::milliseconds>(waited_);
  spdlog::warn("{}: still waiting for {} after {:.2g} s; after {:g} s (comm.timeout_s) the job ends",
               describe(site_), owner_->names_of(missing), in_seconds(waited), in_seconds(owner_->timeout()));
}

void Pending::give_up() {
  owner_->fail(site_,
               fmt::format("not finished after {:g} s: nothing from {}, which died, hung or fell out of "
                           "step (comm.timeout_s is how long to wait)",
                           in_seconds(owner_->timeout()), owner_->names_of(operation_->missing())),
               waited_);
}

void Communicator::set_phase(std::string phase) {
  phase_ = std::move(phase);
  alive_in(phase_);
  if (trace_ != nullptr) trace_->phase(phase_);
}

void Communicator::set_trace(Trace* trace) {
  trace_ = trace;
  if (trace_ != nullptr) trace_->phase(phase_);
}

std::string Communicator::name_of(int rank) const {
  return fmt::format("rank {}", rank);
}

std::string Communicator::names_of(std::span<const int> ranks) const {
  if (ranks.empty()) return "another worker";
  std::string names;
  for (const int rank : ranks) names += (names.empty() ? "" : ", ") + name_of(rank);
  return names;
}

void Communicator::fail(const CallSite& call, std::string_view reason,
                        std::chrono::steady_clock::duration waited) {
  const auto left = timeout_ - std::chrono::duration_cast<std::chrono::milliseconds>(waited);
  const std::string said = consult(call, std::max<std::chrono::milliseconds>(left, 1s));
  throw CommError(fmt::format("rank {} of {}: {}: {}{}", rank_, size_, describe(call), reason, said));
}

CallSite Communicator::begin(Collective kind, Lane lane, std::string_view name, ElementType element) {
  const auto sequence = sequence_[static_cast<std::size_t>(lane)]++;
  CallSite call{kind, std::string(name), lane, sequence, phase_, element};
  if (trace_ != nullptr) call.started = Trace::Clock::now();
  alive_in(call);
  return call;
}

void Communicator::number_on(Lane lane, const Communicator& other) {
  const auto index = static_cast<std::size_t>(lane);
  sequence_.at(index) = other.sequence_.at(index);
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

void Communicator::check_self(std::string_view name, std::span<const std::size_t> send_counts,
                              std::span<const std::size_t> receive_counts) const {
  const std::size_t sent = send_counts[static_cast<std::size_t>(rank_)];
  const std::size_t received = receive_counts[static_cast<std::size_t>(rank_)];
  if (sent != received) {
    throw std::logic_error(fmt::format("'{}': rank {} sends itself {} elements and receives {} of them", name,
                                       rank_, sent, received));
  }
}

void Communicator::check_others(std::string_view name, std::span<const Outgoing<std::byte>> sends,
                                std::span<const Incoming<std::byte>> receives) const {
  const auto check_order = [&](auto range, auto rank_of) {
    int last = -1;
    for (const auto& it : range) {
      const int rank = rank_of(it);
      if (rank <= last || rank >= size_ || rank == rank_) {
        throw std::logic_error(fmt::format("'{}': rank {} names rank {} behind {}, of {} workers", name,
                                           rank_, rank, last, size_));
      }
      last = rank;
    }
  };
  check_order(sends, [](const auto& it) { return it.to; });
  check_order(receives, [](const auto& it) { return it.from; });
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
