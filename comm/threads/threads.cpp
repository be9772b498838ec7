#include "comm/threads/threads.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <thread>

#include "comm/base/leave.h"
#include "comm/threads/hub.h"

namespace lockstep {

namespace {

using Targets = std::vector<std::span<std::byte>>;  // where the piece of each rank goes

// Copies what the others brought once all have.
class Delivery final : public Operation {
 public:
  Delivery(Hub& hub, int rank, std::shared_ptr<const Meeting> meeting, Targets targets)
      : hub_(hub), rank_(rank), meeting_(std::move(meeting)), targets_(std::move(targets)) {}

  bool poll() override {
    if (!meeting_->complete()) {
      hub_.check(rank_, *meeting_);
      if (!meeting_->complete()) return false;
    }
    for (int from = 0; from < static_cast<int>(targets_.size()); ++from) {
      std::ranges::copy(meeting_->of(from).piece_for(rank_),
                        targets_[static_cast<std::size_t>(from)].begin());
    }
    return true;
  }

  std::vector<int> missing() override { return hub_.missing(*meeting_); }

 private:
  Hub& hub_;
  int rank_;
  std::shared_ptr<const Meeting> meeting_;
  Targets targets_;
};

std::vector<std::byte> copy_of(std::span<const std::byte> bytes) {
  return {bytes.begin(), bytes.end()};
}

class ThreadCommunicator final : public Communicator {
 public:
  ThreadCommunicator(int rank, int size, Hub& hub) : Communicator(rank, size), hub_(hub) {}
  std::string_view transport() const override { return "threads"; }
  Links links() const override { return {"memory of one process", "", ""}; }
  [[noreturn]] void abort(ExitCode code) override { leave_process(code); }

 protected:
  std::unique_ptr<Operation> start_broadcast(const CallSite& call, std::span<std::byte> data,
                                             int root) override {
    auto expected = nothing();
    expected[static_cast<std::size_t>(root)] = data.size();
    auto payload = rank() == root ? copy_of(data) : std::vector<std::byte>();
    return join({call, std::move(payload), {}, std::move(expected)}, data);
  }

  std::unique_ptr<Operation> start_all_gather(const CallSite& call, std::span<const std::byte> mine,
                                              std::span<std::byte> all,
                                              std::vector<std::size_t> byte_counts) override {
    return join({call, copy_of(mine), {}, std::move(byte_counts)}, all);
  }

  std::unique_ptr<Operation> start_all_to_all(const CallSite& call, std::span<const std::byte> send,
                                              std::vector<std::size_t> send_byte_counts,
                                              std::span<std::byte> receive,
                                              std::vector<std::size_t> receive_byte_counts) override {
    return join({call, copy_of(send), std::move(send_byte_counts), std::move(receive_byte_counts)}, receive);
  }

  std::unique_ptr<Operation> start_exchange(const CallSite& call, std::span<const Outgoing<std::byte>> sends,
                                            std::span<const Incoming<std::byte>> receives) override {
    Contribution mine{call, {}, nothing(), nothing()};
    for (const auto& it : sends) {
      mine.payload.insert(mine.payload.end(), it.data.begin(), it.data.end());
      mine.sends[static_cast<std::size_t>(it.to)] = it.data.size();
    }
    Targets targets(mine.receives.size());
    for (const auto& it : receives) {
      mine.receives[static_cast<std::size_t>(it.from)] = it.into.size();
      targets[static_cast<std::size_t>(it.from)] = it.into;
    }
    return join(std::move(mine), std::move(targets));
  }

  std::unique_ptr<Operation> start_barrier(const CallSite& call) override {
    return join({call, {}, {}, nothing()}, Targets());
  }

 private:
  std::vector<std::size_t> nothing() const {
    return std::vector<std::size_t>(static_cast<std::size_t>(size()));
  }

  // Pieces that lie one behind the other.
  std::unique_ptr<Operation> join(Contribution contribution, std::span<std::byte> target) {
    Targets targets;
    targets.reserve(contribution.receives.size());
    for (const std::size_t size : contribution.receives) {
      targets.push_back(target.first(size));
      target = target.subspan(size);
    }
    return join(std::move(contribution), std::move(targets));
  }

  std::unique_ptr<Operation> join(Contribution contribution, Targets targets) {
    const CallSite call = contribution.call;
    try {
      return std::make_unique<Delivery>(hub_, rank(), hub_.join(rank(), std::move(contribution)),
                                        std::move(targets));
    } catch (const CommError& error) {
      fail(call, error.what());
    }
  }

  Hub& hub_;
};

// Nobody waits for a worker again as long as it was waited for already.
constexpr std::chrono::milliseconds longest_grace{5'000};

struct Outcome {
  std::exception_ptr error;
  bool consequence = false;
};

Outcome run_one(int rank, int size, Hub& hub, const std::function<void(Communicator&)>& worker) {
  Outcome outcome;
  std::string why = "has ended without it";
  ThreadCommunicator comm(rank, size, hub);
  try {
    worker(comm);
  } catch (const CommError& error) {
    outcome = {std::current_exception(), hub.was_told(rank)};
    hub.leave(rank, fmt::format("failed: {}", error.what()));
    if (!outcome.consequence) hub.await_all(std::min(comm.timeout(), longest_grace), error.what());
    return outcome;
  } catch (const std::exception& error) {
    outcome = {std::current_exception(), hub.was_told(rank)};
    why = fmt::format("failed: {}", error.what());
  } catch (...) {
    outcome = {std::current_exception(), false};
    why = "failed";
  }
  hub.leave(rank, std::move(why));
  return outcome;
}

}  // namespace

void run_threads(int size, const std::function<void(Communicator&)>& worker) {
  Hub hub(size);
  std::vector<Outcome> outcomes(static_cast<std::size_t>(size));
  {
    std::vector<std::jthread> threads;
    for (int rank = 0; rank < size; ++rank) {
      auto& outcome = outcomes[static_cast<std::size_t>(rank)];
      try {
        threads.emplace_back([&outcome, rank, size, &hub, &worker] {  //
          outcome = run_one(rank, size, hub, worker);
        });
      } catch (const std::system_error& error) {
        outcome.error = std::current_exception();
        hub.leave(rank, fmt::format("could not be started: {}", error.what()));
      }
    }
  }
  const auto failed = [](const Outcome& outcome) { return outcome.error != nullptr; };
  const auto first = [](const Outcome& outcome) { return outcome.error && !outcome.consequence; };
  auto found = std::ranges::find_if(outcomes, first);
  if (found == outcomes.end()) found = std::ranges::find_if(outcomes, failed);
  if (found != outcomes.end()) std::rethrow_exception(found->error);
}

}  // namespace lockstep
