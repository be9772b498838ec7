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

Transfer::Transfer(Library& library, Staging& staging, Queue& queue, CallSite call, int& open)
    : library_(library), staging_(staging), queue_(queue), call_(std::move(call)), open_(open) {
  ++open_;
}

Transfer::~Transfer() {
  if (stage_ == Stage::handing_over || stage_ == Stage::running) library_.abort();
  queue_.remove(*this);
}

std::size_t Transfer::read(std::span<const std::byte> data) {
  // The same data may go to several.
  if (!parts_.empty() && parts_.back().read.data() == data.data() &&
      parts_.back().read.size() == data.size()) {
    return parts_.size() - 1;
  }
  parts_.push_back({data, {}, !library_.on_device(data.data())});
  return parts_.size() - 1;
}

std::size_t Transfer::written(std::span<std::byte> data) {
  parts_.push_back({{}, data, !library_.on_device(data.data())});
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
  calls_.emplace_back(
      [this, part = read(data), bytes = data.size(), to] { library_.send(at(part), bytes, to); });
}

void Transfer::receive(int from, std::span<std::byte> into) {
  if (into.empty()) return;
  calls_.emplace_back(
      [this, part = written(into), bytes = into.size(), from] { library_.receive(at(part), bytes, from); });
}

void Transfer::broadcast(int root, std::span<std::byte> data, bool is_root) {
  if (data.empty()) return;
  calls_.emplace_back([this, part = is_root ? read(data) : written(data), bytes = data.size(), root] {
    library_.broadcast(at(part), bytes, root);
  });
}

void Transfer::all_gather(std::span<const std::byte> mine, std::span<std::byte> all) {
  if (!mine.empty()) calls_.push_back(all_gather_of(mine, all));
}

void Transfer::all_gather_instead(std::span<const std::byte> mine, std::span<std::byte> all) {
  instead_ = all_gather_of(mine, all);
}

std::function<void()> Transfer::all_gather_of(std::span<const std::byte> mine, std::span<std::byte> all) {
  return [this, from = read(mine), into = written(all), each = mine.size()] {
    library_.all_gather(at(from), at(into), each);
  };
}

void Transfer::begin(std::unique_ptr<Agreement> agreement) {
  agreement_ = std::move(agreement);
  const auto place = [&](Part& part, std::size_t bytes) {
    if (bytes == 0 || !part.staged) return;
    part.offset = staged_;
    staged_ += aligned(bytes);
  };
  for (Part& part : parts_) place(part, part.read.size());
  staged_reads_ = staged_;
  for (Part& part : parts_) place(part, part.written.size());
  block_ = staging_.take(staged_);
  for (const Part& part : parts_) {
    if (part.staged) std::ranges::copy(part.read, block_.pinned + part.offset);
  }
  queue_.add(*this);
}

bool Transfer::poll() {
  queue_.progress(this);
  if (stage_ != Stage::running) return false;
  (void)library_.settled();  // throws where it failed
  if (!library_.reached(block_.event)) return false;
  for (const Part& part : parts_) {
    if (part.staged) std::copy_n(block_.pinned + part.offset, part.written.size(), part.written.begin());
  }
  staging_.give_back(block_);
  --open_;
  stage_ = Stage::done;
  return true;
}

std::vector<int> Transfer::missing() {
  return stage_ == Stage::agreeing ? agreement_->missing() : std::vector<int>();
}

bool Transfer::agreed() {
  if (stage_ == Stage::agreeing && agreement_->poll()) stage_ = Stage::agreed;
  return stage_ != Stage::agreeing;
}

std::uint64_t Transfer::behind() const {
  const auto [least, most] = std::ranges::minmax(agreement_->heard(), {}, &Notice::started_beside);
  return (call_.lane == Lane::gather ? most : least).started_beside;
}

bool Transfer::handed_over() {
  if (stage_ == Stage::agreed) {
    hand_over();
    stage_ = Stage::handing_over;
  }
  if (!library_.settled()) return false;
  bring_back();
  stage_ = Stage::running;
  return true;
}

void Transfer::hand_over() {
  if (staged_reads_ != 0) library_.copy(block_.device, block_.pinned, staged_reads_);
  const bool all_gather =
      std::ranges::all_of(agreement_->heard(), [](const Notice& it) { return it.gathers != 0; });
  library_.begin_group();
  if (all_gather) {
    instead_();
  } else {
    for (const auto& call : calls_) call();
  }
  library_.end_group();
}

void Transfer::bring_back() {
  const std::size_t written = staged_ - staged_reads_;
  if (written != 0) {
    library_.copy(block_.pinned + staged_reads_, block_.device + staged_reads_, written);
  }
  library_.record(block_.event);
}

}  // namespace lockstep::nccl
