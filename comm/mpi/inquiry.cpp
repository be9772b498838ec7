#include "comm/mpi/inquiry.h"

#include <algorithm>
#include <string>
#include <thread>

#include "comm/mpi/calls.h"
#include "comm/watch/life.h"

namespace lockstep {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t text_bytes = 32 << 10;  // zeros behind its end

}  // namespace

Inquiry::Inquiry(int rank, int size) : rank_(rank), size_(size) {}

std::optional<int> Inquiry::begun_by() {
  int found = 0;
  MPI_Status status;
  if (exchange_ || MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, lane_.comm(), &found, &status) != MPI_SUCCESS)
    return {};
  return found != 0 ? std::optional(status.MPI_SOURCE) : std::nullopt;
}

std::vector<std::optional<CallHistory>> Inquiry::hear(const CallHistory& mine,
                                                      std::chrono::milliseconds patience) {
  if (exchange_) return {};
  exchange_.emplace(lane_, std::nullopt, open_);
  try {
    tell_and_wait(mine, patience);
  } catch (const CommError&) {
    // MPI itself is broken; what has come by now is all there will be.
  }
  std::vector<std::optional<CallHistory>> told(static_cast<std::size_t>(size_));
  const std::vector<int> silent = exchange_->silent();
  for (int rank = 0; rank < size_; ++rank) {
    if (std::ranges::count(silent, rank) != 0) continue;
    const char* text = texts_.data() + static_cast<std::size_t>(rank) * text_bytes;
    told[static_cast<std::size_t>(rank)] =
        rank == rank_ ? mine
                      : CallHistory::decode(std::string_view(text, std::find(text, text + text_bytes, '\0')));
  }
  return told;
}

void Inquiry::tell_and_wait(const CallHistory& mine, std::chrono::milliseconds patience) {
  texts_.resize(static_cast<std::size_t>(size_) * text_bytes);
  const auto of = [&](int rank) {
    return std::as_writable_bytes(std::span(texts_))
        .subspan(static_cast<std::size_t>(rank) * text_bytes, text_bytes);
  };
  std::ranges::copy(mine.encode(text_bytes - 1),
                    texts_.begin() + static_cast<std::ptrdiff_t>(rank_ * text_bytes));
  for (int rank = 0; rank < size_; ++rank) {
    if (rank != rank_) exchange_->receive(rank, of(rank));
  }
  for (int rank = 0; rank < size_; ++rank) {
    if (rank != rank_) exchange_->send(rank, of(rank_));
  }
  const auto begun = std::chrono::steady_clock::now();
  while (!exchange_->poll()) {
    const auto waited = std::chrono::steady_clock::now() - begun;
    if (waited >= patience || (waited >= 1s && is_told_to_end())) return;
    alive();
    std::this_thread::sleep_for(1ms);
  }
}

}  // namespace lockstep
