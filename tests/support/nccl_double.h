#pragma once

#include <atomic>
#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "comm/nccl/library.h"

namespace lockstep::test {

// What the doubles of one job share: how many have come, and the messages under way.
class NcclWorld {
 public:
  nccl::Id new_id();
  void join(const nccl::Id& id);
  int joined();
  struct Message {
    std::string call;
    std::vector<std::byte> data;
  };
  void post(int from, int to, Message message);
  std::optional<Message> take(int from, int to);

 private:
  std::mutex mutex_;
  std::optional<nccl::Id> id_;
  int joined_ = 0;
  std::map<std::pair<int, int>, std::deque<Message>> messages_;
};

// NCCL and CUDA of one worker, without either. The stream does what it got when somebody asks for it, a
// little a time; what NCCL was told gets to its stream only after some askings, as it is handed over in the
// background. Messages of a pair of workers are matched in the order in which the two streams come to them.
// Memory "of the GPU" is the host's, but it knows which is which.
//
// Throws std::logic_error where it is used in a way that the real ones answer by a crash, wrong data or not
// at all: a call outside a group or while NCCL is not settled, another call or size than another worker's,
// memory of the wrong kind, an event never recorded.
class NcclDouble final : public nccl::Library {
 public:
  // What has been seen, by those who look on after it is gone.
  struct Record {
    std::map<std::string, int, std::less<>> calls;  // how often each was made
    std::string posed_as;
    int device = -1;
    bool aborted = false;
    bool left = false;
  };

  NcclDouble(NcclWorld& world, Record& record);
  ~NcclDouble() override;

  // What happens in a call beside what it does: called first, with its name and how often it was made before.
  // May throw.
  std::function<void(std::string_view name, int before)> at = [](std::string_view, int) {};
  // Whether so many bytes are memory of a GPU that is not this double's.
  std::function<bool(const std::byte*, std::size_t)> also_on_device = [](const std::byte*, std::size_t) {
    return false;
  };
  // The stream does nothing while this is so.
  std::atomic<bool> stands_still = false;
  std::string host_name = "here";
  std::vector<std::string> device_names = {"GPU-0", "GPU-1", "GPU-2", "GPU-3",
                                           "GPU-4", "GPU-5", "GPU-6", "GPU-7"};

  std::string version() override { return "a double of NCCL"; }
  std::string host() override { return host_name; }
  std::vector<std::string> devices() override { return device_names; }
  void use(int device) override;
  void pose_as_host(const std::string& name) override;
  nccl::Id new_id() override;
  void join(const nccl::Id& id, int rank, int size) override;
  void leave() override;
  bool settled() override;
  void abort() noexcept override { record_.aborted = true; }
  void begin_group() override;
  void end_group() override;
  void send(const std::byte* from, std::size_t bytes, int to) override;
  void receive(std::byte* into, std::size_t bytes, int from) override;
  void broadcast(std::byte* data, std::size_t bytes, int root) override;
  void all_gather(const std::byte* mine, std::byte* all, std::size_t each) override;
  nccl::Event new_event() override;
  void record(nccl::Event event) override;
  bool reached(nccl::Event event) override;
  std::byte* device_memory(std::size_t bytes) override;
  std::byte* pinned_memory(std::size_t bytes) override;
  bool on_device(const std::byte* memory) override;
  void copy(std::byte* into, const std::byte* from, std::size_t bytes) override;

 private:
  using Task = std::function<bool()>;  // whether it is done

  struct Part {
    std::string call;
    int other;
    std::byte* memory;
    std::size_t bytes;
  };
  struct Group {
    std::vector<Part> sends;
    std::vector<Part> receives;
  };
  using Memory = std::map<const std::byte*, std::vector<std::byte>>;

  void made(std::string_view name);
  // The group that a call belongs to.
  Group& group();
  Task task_of(Group group);
  void run();
  static std::byte* take(Memory& memory, std::size_t bytes);
  static bool holds(const Memory& memory, const std::byte* begin, std::size_t bytes);
  void require_device(const std::byte* memory, std::size_t bytes) const;

  NcclWorld& world_;
  Record& record_;
  int rank_ = 0;
  int size_ = 0;
  bool joined_ = false;  // by all
  bool leaving_ = false;
  int askings_ = 0;             // until what was begun has settled
  std::optional<Group> group_;  // open
  std::optional<Group> begun_;
  std::deque<Task> stream_;
  std::deque<std::optional<bool>> events_;  // nothing: never recorded
  Memory device_;
  Memory pinned_;
};

}  // namespace lockstep::test
