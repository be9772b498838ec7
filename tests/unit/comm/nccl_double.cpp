#include "tests/unit/comm/nccl_double.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "comm/base/error.h"

namespace lockstep::test {

namespace {

constexpr int askings_until_settled = 3;

template <class T>
T& of(void* handle) {
  return *static_cast<T*>(handle);
}

void require(bool right, const char* wrong) {
  if (!right) throw std::logic_error(std::string("misuse of NCCL or CUDA: ") + wrong);
}

}  // namespace

nccl::Id NcclWorld::new_id() {
  const std::lock_guard lock(mutex_);
  nccl::Id id{};
  id.back() = static_cast<std::byte>(++ids_);
  return id;
}

int NcclWorld::join(const nccl::Id& id) {
  const std::lock_guard lock(mutex_);
  require(id != nccl::Id{}, "an id that nobody made");
  const int clique = cliques_.try_emplace(id, static_cast<int>(cliques_.size())).first->second;
  ++joined_[clique];
  return clique;
}

int NcclWorld::joined(int clique) {
  const std::lock_guard lock(mutex_);
  return joined_[clique];
}

void NcclWorld::post(int clique, int from, int to, std::vector<std::byte> message) {
  const std::lock_guard lock(mutex_);
  messages_[{clique, {from, to}}].push_back(std::move(message));
}

std::optional<std::vector<std::byte>> NcclWorld::take(int clique, int from, int to) {
  const std::lock_guard lock(mutex_);
  auto& waiting = messages_[{clique, {from, to}}];
  if (waiting.empty()) return {};
  std::vector<std::byte> message = std::move(waiting.front());
  waiting.pop_front();
  return message;
}

NcclDouble::NcclDouble(NcclWorld& world, Record& record) : world_(world), record_(record) {}

NcclDouble::~NcclDouble() {
  record_.left =
      std::ranges::all_of(members_, [](const Member& it) { return it.leaving && it.askings == 0; });
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
  require(members_.empty(), "a host's name after NCCL has read it");
  record_.posed_as = name;
}

nccl::Id NcclDouble::new_id() {
  made("new_id");
  return world_.new_id();
}

nccl::Clique NcclDouble::join(const nccl::Id& id, int rank, int size) {
  made("join");
  require(record_.device >= 0, "a clique before a GPU");
  Member& member = members_.emplace_back();
  member.number = world_.join(id);
  member.rank = rank;
  member.size = size;
  member.askings = askings_until_settled;
  return {&member};
}

void NcclDouble::leave(nccl::Clique clique) {
  made("leave");
  auto& member = of<Member>(clique.handle);
  require(member.askings == 0, "leaving a clique that is not settled");
  member.leaving = true;
  member.askings = askings_until_settled;
}

bool NcclDouble::settled(nccl::Clique clique) {
  made("settled");
  run();
  auto& member = of<Member>(clique.handle);
  if (!member.joined) member.joined = world_.joined(member.number) == member.size;
  if (!member.joined) return false;
  if (member.askings > 0) --member.askings;
  if (member.askings == 0 && member.begun) {
    of<std::deque<Task>>(member.stream.handle).push_back(task_of(member, *std::exchange(member.begun, {})));
  }
  return member.askings == 0;
}

void NcclDouble::begin_group() {
  require(!std::exchange(in_group_, true), "a group in a group");
}

NcclDouble::Member& NcclDouble::begun_on(nccl::Clique clique, nccl::Stream stream) {
  require(in_group_, "a call outside a group");
  auto& member = of<Member>(clique.handle);
  require(member.askings == 0 && member.joined && !member.leaving, "a call on a clique that is not settled");
  require(!group_ || (group_clique_.handle == clique.handle && group_stream_.handle == stream.handle),
          "two cliques or streams in a group");
  if (!group_) group_.emplace();
  group_clique_ = clique;
  group_stream_ = stream;
  return member;
}

void NcclDouble::end_group() {
  made("end_group");
  require(std::exchange(in_group_, false), "the end of no group");
  if (!group_) return;
  auto& member = of<Member>(group_clique_.handle);
  member.begun = std::exchange(group_, {});
  member.stream = group_stream_;
  member.askings = askings_until_settled;
}

NcclDouble::Task NcclDouble::task_of(const Member& member, Group group) {
  return [this, number = member.number, rank = member.rank, group = std::move(group)]() mutable {
    for (const Message& it : std::exchange(group.sends, {})) {
      world_.post(number, rank, it.other, {it.memory, it.memory + it.bytes});
    }
    std::erase_if(group.receives, [&](const Message& it) {
      const auto message = world_.take(number, it.other, rank);
      if (!message) return false;
      require(message->size() == it.bytes, "another size sent than received");
      std::ranges::copy(*message, it.memory);
      return true;
    });
    return group.receives.empty();
  };
}

void NcclDouble::send(const std::byte* from, std::size_t bytes, int to, nccl::Clique clique,
                      nccl::Stream stream) {
  made("send");
  begun_on(clique, stream);
  require_device(from, bytes);
  group_->sends.push_back({to, const_cast<std::byte*>(from), bytes});
}

void NcclDouble::receive(std::byte* into, std::size_t bytes, int from, nccl::Clique clique,
                         nccl::Stream stream) {
  made("receive");
  begun_on(clique, stream);
  require_device(into, bytes);
  group_->receives.push_back({from, into, bytes});
}

void NcclDouble::broadcast(std::byte* data, std::size_t bytes, int root, nccl::Clique clique,
                           nccl::Stream stream) {
  made("broadcast");
  const Member& member = begun_on(clique, stream);
  require_device(data, bytes);
  for (int other = 0; other < member.size; ++other) {
    if (member.rank == root && other != root) group_->sends.push_back({other, data, bytes});
  }
  if (member.rank != root) group_->receives.push_back({root, data, bytes});
}

void NcclDouble::all_gather(const std::byte* mine, std::byte* all, std::size_t each, nccl::Clique clique,
                            nccl::Stream stream) {
  made("all_gather");
  const Member& member = begun_on(clique, stream);
  require_device(mine, each);
  require_device(all, each * static_cast<std::size_t>(member.size));
  for (int other = 0; other < member.size; ++other) {
    group_->sends.push_back({other, const_cast<std::byte*>(mine), each});
    group_->receives.push_back({other, all + static_cast<std::size_t>(other) * each, each});
  }
}

nccl::Stream NcclDouble::new_stream() {
  return {&streams_.emplace_back()};
}

nccl::Event NcclDouble::new_event() {
  return {&events_.emplace_back()};
}

void NcclDouble::record(nccl::Event event, nccl::Stream stream) {
  auto& reached = of<std::optional<bool>>(event.handle);
  reached = false;
  of<std::deque<Task>>(stream.handle).emplace_back([&reached] {
    reached = true;
    return true;
  });
}

bool NcclDouble::reached(nccl::Event event) {
  made("reached");
  run();
  const auto& reached = of<std::optional<bool>>(event.handle);
  require(reached.has_value(), "an event never recorded");
  return *reached;
}

// One step of each stream.
void NcclDouble::run() {
  if (stands_still || record_.aborted) return;
  for (auto& stream : streams_) {
    if (!stream.empty() && stream.front()()) stream.pop_front();
  }
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
  require(holds(device_, memory, bytes), "memory that is not the GPU's");
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
  return memory != nullptr && holds(device_, memory, 1);
}

void NcclDouble::copy(std::byte* into, const std::byte* from, std::size_t bytes, nccl::Stream stream) {
  made("copy");
  const auto fast = [&](const std::byte* memory) {
    return holds(device_, memory, bytes) || holds(pinned_, memory, bytes);
  };
  require(fast(into) && fast(from), "a copy of memory that is neither pinned nor the GPU's");
  of<std::deque<Task>>(stream.handle).emplace_back([=] {
    std::memcpy(into, from, bytes);
    return true;
  });
}

}  // namespace lockstep::test
