#include "tests/support/nccl_double.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "comm/base/error.h"

namespace lockstep::test {

namespace {

constexpr int askings_until_settled = 3;

std::optional<bool>& of(nccl::Event event) {
  return *static_cast<std::optional<bool>*>(event.handle);
}

void require(bool right, const char* wrong) {
  if (!right) throw std::logic_error(std::string("misuse of NCCL or CUDA: ") + wrong);
}

}  // namespace

nccl::Id NcclWorld::new_id() {
  const std::lock_guard lock(mutex_);
  require(!id_, "a second id");
  id_.emplace();
  id_->back() = std::byte{1};
  return *id_;
}

void NcclWorld::join(const nccl::Id& id) {
  const std::lock_guard lock(mutex_);
  require(id == id_, "an id that nobody made");
  ++joined_;
}

int NcclWorld::joined() {
  const std::lock_guard lock(mutex_);
  return joined_;
}

void NcclWorld::post(int from, int to, Message message) {
  const std::lock_guard lock(mutex_);
  messages_[{from, to}].push_back(std::move(message));
}

std::optional<NcclWorld::Message> NcclWorld::take(int from, int to) {
  const std::lock_guard lock(mutex_);
  auto& waiting = messages_[{from, to}];
  if (waiting.empty()) return {};
  Message message = std::move(waiting.front());
  waiting.pop_front();
  return message;
}

NcclDouble::NcclDouble(NcclWorld& world, Record& record) : world_(world), record_(record) {}

NcclDouble::~NcclDouble() {
  record_.left = leaving_ && askings_ == 0;
}

void NcclDouble::made(std::string_view name) {
  const int before = record_.calls[std::string(name)]++;
  at(name, before);
}

void NcclDouble::use(int device) {
  made("use");
  record_.device = device;
}

void NcclDouble::pose_as_host(const std::string& name) {
  require(size_ == 0, "a host's name after NCCL has read it");
  record_.posed_as = name;
}

nccl::Id NcclDouble::new_id() {
  made("new_id");
  return world_.new_id();
}

void NcclDouble::join(const nccl::Id& id, int rank, int size) {
  made("join");
  require(record_.device >= 0, "NCCL before a GPU");
  require(size_ == 0, "a second communicator");
  world_.join(id);
  rank_ = rank;
  size_ = size;
  askings_ = askings_until_settled;
}

void NcclDouble::leave() {
  made("leave");
  require(askings_ == 0, "leaving what is not settled");
  leaving_ = true;
  askings_ = askings_until_settled;
}

bool NcclDouble::settled() {
  made("settled");
  run();
  if (!joined_) joined_ = world_.joined() == size_;
  if (!joined_) return false;
  if (askings_ > 0) --askings_;
  if (askings_ == 0 && begun_) stream_.push_back(task_of(*std::exchange(begun_, {})));
  return askings_ == 0;
}

void NcclDouble::begin_group() {
  require(!group_, "a group in a group");
  group_.emplace();
}

NcclDouble::Group& NcclDouble::group() {
  require(group_.has_value(), "a call outside a group");
  require(askings_ == 0 && joined_ && !leaving_, "a call while NCCL is not settled");
  return *group_;
}

void NcclDouble::end_group() {
  made("end_group");
  require(group_.has_value(), "the end of no group");
  begun_ = std::exchange(group_, {});
  askings_ = askings_until_settled;
}

NcclDouble::Task NcclDouble::task_of(Group group) {
  return [this, group = std::move(group)]() mutable {
    for (const Part& it : std::exchange(group.sends, {})) {
      world_.post(rank_, it.other, {it.call, {it.memory, it.memory + it.bytes}});
    }
    std::erase_if(group.receives, [&](const Part& it) {
      const auto message = world_.take(it.other, rank_);
      if (!message) return false;
      require(message->call == it.call, "another call than another worker's");
      require(message->data.size() == it.bytes, "another size sent than received");
      std::ranges::copy(message->data, it.memory);
      return true;
    });
    return group.receives.empty();
  };
}

void NcclDouble::send(const std::byte* from, std::size_t bytes, int to) {
  made("send");
  require_device(from, bytes);
  group().sends.push_back({"message", to, const_cast<std::byte*>(from), bytes});
}

void NcclDouble::receive(std::byte* into, std::size_t bytes, int from) {
  made("receive");
  require_device(into, bytes);
  group().receives.push_back({"message", from, into, bytes});
}

void NcclDouble::broadcast(std::byte* data, std::size_t bytes, int root) {
  made("broadcast");
  require_device(data, bytes);
  for (int other = 0; other < size_; ++other) {
    if (rank_ == root && other != root) group().sends.push_back({"broadcast", other, data, bytes});
  }
  if (rank_ != root) group().receives.push_back({"broadcast", root, data, bytes});
}

void NcclDouble::all_gather(const std::byte* mine, std::byte* all, std::size_t each) {
  made("all_gather");
  require_device(mine, each);
  require_device(all, each * static_cast<std::size_t>(size_));
  const std::byte* const own = all + static_cast<std::size_t>(rank_) * each;
  const bool overlaps = mine + each > all && mine < all + static_cast<std::size_t>(size_) * each;
  require(!overlaps || mine == own, "an all-gather of what lies elsewhere in its result");
  for (int other = 0; other < size_; ++other) {
    group().sends.push_back({"all_gather", other, const_cast<std::byte*>(mine), each});
    group().receives.push_back({"all_gather", other, all + static_cast<std::size_t>(other) * each, each});
  }
}

nccl::Event NcclDouble::new_event() {
  return {&events_.emplace_back()};
}

void NcclDouble::record(nccl::Event event) {
  auto& reached = of(event);
  reached = false;
  stream_.emplace_back([&reached] {
    reached = true;
    return true;
  });
}

bool NcclDouble::reached(nccl::Event event) {
  made("reached");
  run();
  const auto& reached = of(event);
  require(reached.has_value(), "an event never recorded");
  return *reached;
}

void NcclDouble::run() {
  if (stands_still || record_.aborted || stream_.empty()) return;
  if (stream_.front()()) stream_.pop_front();
}

std::byte* NcclDouble::take(Memory& memory, std::size_t bytes) {
  std::vector<std::byte> fresh(bytes, std::byte{0xA5});
  std::byte* const begin = fresh.data();
  memory.emplace(begin, std::move(fresh));
  return begin;
}

bool NcclDouble::holds(const Memory& memory, const std::byte* begin, std::size_t bytes) {
  auto above = memory.upper_bound(begin);
  if (above == memory.begin()) return false;
  const std::vector<std::byte>& block = std::prev(above)->second;
  return begin + bytes <= block.data() + block.size();
}

void NcclDouble::require_device(const std::byte* memory, std::size_t bytes) const {
  require(bytes != 0, "a call of no bytes");
  require(holds(device_, memory, bytes) || also_on_device(memory, bytes), "memory that is not the GPU's");
}

std::byte* NcclDouble::device_memory(std::size_t bytes) {
  made("device_memory");
  return take(device_, bytes);
}

std::byte* NcclDouble::pinned_memory(std::size_t bytes) {
  made("pinned_memory");
  return take(pinned_, bytes);
}

bool NcclDouble::on_device(const std::byte* memory) {
  return memory != nullptr && (holds(device_, memory, 1) || also_on_device(memory, 1));
}

void NcclDouble::copy(std::byte* into, const std::byte* from, std::size_t bytes) {
  made("copy");
  const auto fast = [&](const std::byte* memory) {
    return holds(device_, memory, bytes) || holds(pinned_, memory, bytes);
  };
  require(fast(into) && fast(from), "a copy of memory that is neither pinned nor the GPU's");
  stream_.emplace_back([=] {
    std::memcpy(into, from, bytes);
    return true;
  });
}

}  // namespace lockstep::test
