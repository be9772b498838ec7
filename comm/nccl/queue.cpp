#include "comm/nccl/queue.h"

#include <fmt/format.h>

#include "comm/nccl/transfer.h"

namespace lockstep::nccl {

void Queue::add(Transfer& transfer) {
  Waiting& waiting = of(transfer.call().lane);
  waiting.transfers.push_back(&transfer);
  ++waiting.started;
}

void Queue::remove(Transfer& transfer) {
  std::erase(of(transfer.call().lane).transfers, &transfer);
}

void Queue::progress(const Transfer* waited_for) {
  while (advance(Lane::scatter) || advance(Lane::gather)) {
  }
  if (!failure_) return;
  throw CommError(failure_->transfer == waited_for ? failure_->reason
                                                   : fmt::format("{}: {}", failure_->call, failure_->reason));
}

// Whether NCCL has got the first of a lane now.
bool Queue::advance(Lane lane) {
  Waiting& waiting = of(lane);
  if (failure_ || waiting.transfers.empty()) return false;
  Transfer& first = *waiting.transfers.front();
  try {
    if (!first.agreed() || beside(lane).handed_over < first.behind() || !first.handed_over()) return false;
  } catch (const CommError& error) {
    failure_ = {&first, describe(first.call()), error.what()};
    return false;
  }
  waiting.transfers.pop_front();
  ++waiting.handed_over;
  return true;
}

}  // namespace lockstep::nccl
