#include "comm/mpi/mpi.h"

#include <fmt/format.h>
#include <mpi.h>

#include <algorithm>
#include <array>
#include <exception>
#include <string>

#include "comm/base/leave.h"
#include "comm/base/pieces.h"
#include "comm/mpi/calls.h"
#include "comm/mpi/exchange.h"
#include "comm/mpi/inquiry.h"
#include "comm/mpi/links.h"
#include "comm/traffic.h"
#include "comm/watch/call_history.h"

namespace lockstep {

namespace {

struct World {
  int rank = 0;
  int size = 1;
};

World initialize() {
  int provided = 0;
  require(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided));
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  World world;
  require(MPI_Comm_rank(MPI_COMM_WORLD, &world.rank));
  require(MPI_Comm_size(MPI_COMM_WORLD, &world.size));
  return world;
}

// The largest tag that MPI takes.
int largest_tag() {
  int* value = nullptr;
  int found = 0;
  require(MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_TAG_UB, &value, &found));
  return found != 0 ? *value : 32'767;  // what the standard promises
}

std::vector<std::string> hosts(int size) {
  using Name = std::array<char, MPI_MAX_PROCESSOR_NAME>;
  Name mine{};
  int length = 0;
  require(MPI_Get_processor_name(mine.data(), &length));
  std::vector<Name> all(static_cast<std::size_t>(size));
  require(MPI_Allgather(mine.data(), MPI_MAX_PROCESSOR_NAME, MPI_CHAR, all.data(), MPI_MAX_PROCESSOR_NAME,
                        MPI_CHAR, MPI_COMM_WORLD));
  std::vector<std::string> names;
  names.reserve(all.size());
  for (const Name& name : all) names.emplace_back(name.data());
  return names;
}

using Sizes = std::vector<std::size_t>;

// A broadcast goes down a binomial tree: a worker hears from the one whose distance to the root has its
// lowest bit cleared, and tells those that have one more, lower.
struct Descent {
  Descent(int rank, int size, int root) {
    const auto at = [&](int distance) { return (root + distance) % size; };
    const int distance = (rank - root + size) % size;
    int bit = 1;
    for (; bit < size && (distance & bit) == 0; bit *= 2) {
    }
    if (distance != 0) parent = at(distance - bit);
    for (bit /= 2; bit > 0; bit /= 2) {
      if (distance + bit < size) children.push_back(at(distance + bit));
    }
  }
  std::optional<int> parent;
  std::vector<int> children;
};

class MpiCommunicator final : public Communicator {
 public:
  explicit MpiCommunicator(World world)
      : Communicator(world.rank, world.size),
        largest_tag_(largest_tag()),
        hosts_(hosts(world.size)),
        inquiry_(world.rank, world.size) {}

  ~MpiCommunicator() override {
    // Finalizing waits for the others, who may be in a collective that this worker left by an exception.
    if (open_ != 0 || std::uncaught_exceptions() != 0) return;
    for (auto& lane : lanes_) lane.free();
    inquiry_.free();
    MPI_Finalize();
  }

  std::string_view transport() const override { return "mpi"; }
  Links links() const override { return ask_mpi_for_links(); }

  [[noreturn]] void abort(ExitCode code) override {
    flush_output();
    // MPI_Abort with 0 would report success.
    MPI_Abort(MPI_COMM_WORLD, static_cast<int>(code == ExitCode::done ? ExitCode::bug : code));
    leave_process(code);
  }

 protected:
  std::unique_ptr<Operation> start_broadcast(const CallSite& call, std::span<std::byte> data,
                                             int root) override {
    const bool is_root = rank() == root;
    const Traffic traffic = traffic_of_broadcast(*this, root, data.size());
    return start(call, traffic.sends, traffic.receives, [&](Exchange& exchange) {
      const Descent way(rank(), size(), root);
      if (way.parent) exchange.receive(*way.parent, data);
      for (const int child : way.children) {
        if (is_root) exchange.send(child, data);
        if (!is_root) exchange.pass_on(child, data);
      }
    });
  }

  std::unique_ptr<Operation> start_all_gather(const CallSite& call, std::span<const std::byte> mine,
                                              std::span<std::byte> all, Sizes byte_counts) override {
    return start(call, Sizes(byte_counts.size(), mine.size()), byte_counts, [&](Exchange& exchange) {
      const Pieces pieces(all, byte_counts);
      each_other([&](int other) { exchange.receive(other, pieces[other]); });
      each_other([&](int other) { exchange.send(other, mine); });
      std::ranges::copy(mine, pieces[rank()].begin());
    });
  }

  std::unique_ptr<Operation> start_all_to_all(const CallSite& call, std::span<const std::byte> send,
                                              Sizes send_byte_counts, std::span<std::byte> receive,
                                              Sizes receive_byte_counts) override {
    const Pieces outgoing(send, send_byte_counts);
    const Pieces incoming(receive, receive_byte_counts);
    return start(call, send_byte_counts, receive_byte_counts, [&](Exchange& exchange) {
      each_other([&](int other) { exchange.receive(other, incoming[other]); });
      each_other([&](int other) { exchange.send(other, outgoing[other]); });
      std::ranges::copy(outgoing[rank()], incoming[rank()].begin());
    });
  }

  std::unique_ptr<Operation> start_exchange(const CallSite& call, std::span<const Outgoing<std::byte>> sends,
                                            std::span<const Incoming<std::byte>> receives) override {
    traffic_ = traffic_of_exchange(*this, sends, receives, std::move(traffic_));
    return start(call, traffic_.sends, traffic_.receives, [&](Exchange& exchange) {
      for (const auto& it : receives) {
        if (!it.into.empty()) exchange.receive(it.from, it.into);
      }
      // Those to higher ranks first, so that not all send to the same one first.
      const auto behind = std::ranges::upper_bound(sends, rank(), {}, &Outgoing<std::byte>::to);
      for (const auto part : {std::span(behind, sends.end()), std::span(sends.begin(), behind)}) {
        for (const auto& it : part) {
          if (!it.data.empty()) exchange.send(it.to, it.data);
        }
      }
    });
  }

  std::unique_ptr<Operation> start_barrier(const CallSite& call) override {
    const Traffic traffic = no_traffic(*this);
    return start(call, traffic.sends, traffic.receives, [&](Exchange& exchange) {
      each_other([&](int other) { exchange.receive(other, {}); });
      each_other([&](int other) { exchange.send(other, {}); });
    });
  }

  std::string name_of(int rank) const override {
    return fmt::format("rank {} on {}", rank, hosts_[static_cast<std::size_t>(rank)]);
  }

  void listen() override {
    if (const auto other = inquiry_.begun_by()) throw CommError(name_of(*other) + " found something wrong");
  }

  std::string consult(const CallSite& call, std::chrono::milliseconds patience) override {
    const auto told = inquiry_.hear(history_, patience);
    if (told.empty()) return "";
    std::vector<std::string> names;
    names.reserve(static_cast<std::size_t>(size()));
    for (int rank = 0; rank < size(); ++rank) names.push_back(name_of(rank));
    return verdict(call, rank(), told, names);
  }

 private:
  // Beginning with the next, so that not all send to the same one first.
  template <class Work>
  void each_other(const Work& work) const {
    for (int distance = 1; distance < size(); ++distance) work((rank() + distance) % size());
  }

  std::optional<int> tag_of(const CallSite& call) const {
    if (!checks_order()) return std::nullopt;
    return static_cast<int>(order_key(call) % static_cast<std::uint64_t>(largest_tag_));
  }

  template <class Fill>
  std::unique_ptr<Operation> start(const CallSite& call, const Sizes& sends, const Sizes& receives,
                                   const Fill& fill) {
    if (checks_order()) history_.record(call, sends, receives);
    try {
      MessageLane& lane = lanes_[static_cast<std::size_t>(call.lane)];
      auto exchange = std::make_unique<Exchange>(lane, tag_of(call), open_);
      fill(*exchange);
      return exchange;
    } catch (const CommError& error) {
      fail(call, error.what());
    }
  }

  int largest_tag_;
  std::vector<std::string> hosts_;
  Traffic traffic_;  // of the exchange that is being started; kept for its memory
  CallHistory history_;
  Inquiry inquiry_;
  std::array<MessageLane, lane_count> lanes_;
  int open_ = 0;
};

}  // namespace

std::unique_ptr<Communicator> make_mpi() {
  return std::make_unique<MpiCommunicator>(initialize());
}

}  // namespace lockstep
