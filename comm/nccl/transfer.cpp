#include "comm/nccl/transfer.h"

#include <algorithm>
#include <utility>

namespace lockstep::nccl {

namespace {

constexpr std::size_t alignment = 256;  // of CUDA's own allocations

constexpr std::size_t aligned(std::size_t bytes) {
  return (bytes + alignment - 1) / alignment * alignment;
}

}  // namespace

void TransferLane::progress() {
  if (failure) std::rethrow_exception(failure);
  while (!waiting.empty() && waiting.front()->handed_over()) waiting.pop_front();
}

void TransferLane::progress_beside() {
  if (failure) return;
  try {
    progress();
  } catch (const CommError&) {
    failure = std::current_exception();
  }
}

Transfer::Transfer(std::span<TransferLane> lanes, std::size_t lane, int& open)
    : lanes_(lanes), lane_(lanes[lane]), open_(open) {
  ++open_;
}

Transfer::~Transfer() {
  std::erase(lane_.waiting, this);
}

std::size_t Transfer::read(std::span<const std::byte> data) {
  // The same data may go to several.
  if (!parts_.empty() && parts_.back().read.data() == data.data() &&
      parts_.back().read.size() == data.size()) {
    return parts_.size() - 1;
  }
  parts_.push_back({data, {}, !lane_.library.on_device(data.data())});
  return parts_.size() - 1;
}

std::size_t Transfer::written(std::span<std::byte> data) {
  parts_.push_back({{}, data, !lane_.library.on_device(data.data())});
  return parts_.size() - 1;
}

std::byte* Transfer::at(std::size_t part) const {
  const Part& it = parts_[part];
  if (it.staged) return block_.device + it.offset;
  // NCCL is asked to write only what is written.
  return it.written.empty() ? const_cast<std::byte*>(it.read.data()) : it.written.data();
}

void Transfer::send(int to, std::span<const std::byte> data) {
  if (data.empty()) return;
  calls_.emplace_back([this, part = read(data), bytes = data.size(), to] {
    lane_.library.send(at(part), bytes, to, lane_.clique, lane_.stream);
  });
}

void Transfer::receive(int from, std::span<std::byte> into) {
  if (into.empty()) return;
  calls_.emplace_back([this, part = written(into), bytes = into.size(), from] {
    lane_.library.receive(at(part), bytes, from, lane_.clique, lane_.stream);
  });
}

void Transfer::broadcast(int root, std::span<std::byte> data, bool is_root) {
  if (data.empty()) return;
  calls_.emplace_back([this, part = is_root ? read(data) : written(data), bytes = data.size(), root] {
    lane_.library.broadcast(at(part), bytes, root, lane_.clique, lane_.stream);
  });
}

void Transfer::all_gather(std::span<const std::byte> mine, std::span<std::byte> all) {
  if (mine.empty()) return;
  calls_.emplace_back([this, from = read(mine), into = written(all), each = mine.size()] {
    lane_.library.all_gather(at(from), at(into), each, lane_.clique, lane_.stream);
  });
}

void Transfer::begin(std::unique_ptr<Operation> agreement) {
  agreement_ = std::move(agreement);
  const auto place = [&](Part& part, std::size_t bytes) {
    if (bytes == 0 || !part.staged) return;
    part.offset = staged_;
    staged_ += aligned(bytes);
  };
  for (Part& part : parts_) place(part, part.read.size());
  staged_reads_ = staged_;
  for (Part& part : parts_) place(part, part.written.size());
  block_ = lane_.staging.take(staged_);
  for (const Part& part : parts_) {
    if (part.staged) std::ranges::copy(part.read, block_.pinned + part.offset);
  }
  lane_.waiting.push_back(this);
}

bool Transfer::poll() {
  lane_.progress();
  for (TransferLane& lane : lanes_) {
    if (&lane != &lane_) lane.progress_beside();
  }
  if (stage_ != Stage::running) return false;
  (void)lane_.library.settled(lane_.clique);  // throws where it failed
  if (!lane_.library.reached(block_.event)) return false;
  for (const Part& part : parts_) {
    if (part.staged) std::copy_n(block_.pinned + part.offset, part.written.size(), part.written.begin());
  }
  lane_.staging.give_back(block_);
  --open_;
  return true;
}

std::vector<int> Transfer::missing() {
  return agreement_ ? agreement_->missing() : std::vector<int>();
}

bool Transfer::handed_over() {
  if (stage_ == Stage::agreeing) {
    if (agreement_ && !agreement_->poll()) return false;
    agreement_.reset();
    hand_over();
    stage_ = Stage::handing_over;
  }
  if (stage_ == Stage::handing_over) {
    if (!lane_.library.settled(lane_.clique)) return false;
    bring_back();
    stage_ = Stage::running;
  }
  return true;
}

void Transfer::hand_over() {
  Library& library = lane_.library;
  if (staged_reads_ != 0) library.copy(block_.device, block_.pinned, staged_reads_, lane_.stream);
  library.begin_group();
  for (const auto& call : calls_) call();
  library.end_group();
}

void Transfer::bring_back() {
  const std::size_t written = staged_ - staged_reads_;
  if (written != 0) {
    lane_.library.copy(block_.pinned + staged_reads_, block_.device + staged_reads_, written, lane_.stream);
  }
  lane_.library.record(block_.event, lane_.stream);
}

}  // namespace lockstep::nccl
