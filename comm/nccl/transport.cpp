#include "comm/nccl/transport.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <exception>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "comm/base/leave.h"
#include "comm/base/pieces.h"
#include "comm/nccl/control.h"
#include "comm/nccl/devices.h"
#include "comm/nccl/nccl.h"
#include "comm/nccl/staging.h"
#include "comm/nccl/transfer.h"
#include "comm/texts.h"
#include "comm/traffic.h"

namespace lockstep::nccl {

namespace {

using Sizes = std::vector<std::size_t>;

// A line for the host, then one for each GPU.
std::string in_lines(const Seat& seat) {
  return fmt::format("{}\n{}", seat.host, fmt::join(seat.devices, "\n"));
}

Seat from_lines(std::string_view text) {
  Seat seat;
  const auto next = [&] {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    return std::string(line);
  };
  seat.host = next();
  while (!text.empty()) seat.devices.push_back(next());
  return seat;
}

// Finishes once a clique has done what was begun on it.
class Settling final : public Operation {
 public:
  Settling(Library& library, Clique clique) : library_(library), clique_(clique) {}
  bool poll() override { return library_.settled(clique_); }

 private:
  Library& library_;
  Clique clique_;
};

class NcclCommunicator final : public Communicator {
 public:
  NcclCommunicator(Communicator& control, std::unique_ptr<Library> library, bool share)
      : Communicator(control.rank(), control.size()),
        control_(control),
        library_(std::move(library)),
        staging_(*library_),
        lanes_{new_lane(), new_lane(), new_lane()} {
    set_timeout(control.timeout());
    const Choice choice = choose_device(share);
    attempt(connecting(Lane::statistics), [&] { use(choice); });
    const auto ids = share_ids();
    for (const Lane lane : {Lane::statistics, Lane::scatter, Lane::gather}) {
      connect(connecting(lane), ids[static_cast<std::size_t>(lane)]);
    }
  }

  ~NcclCommunicator() override {
    if (open_ != 0 || std::uncaught_exceptions() != 0 || !left()) library_->abort();
  }

  std::string_view transport() const override { return "nccl"; }
  Links links() const override { return {"", "", library_->version()}; }
  [[noreturn]] void abort(ExitCode code) override {
    control_.comm().abort(code);
    leave_process(code);
  }

 protected:
  std::unique_ptr<Operation> start_broadcast(const CallSite& call, std::span<std::byte> data,
                                             int root) override {
    const bool is_root = rank() == root;
    const Traffic traffic = traffic_of_broadcast(*this, root, data.size());
    return start(call, traffic.sends, traffic.receives,
                 [&](Transfer& transfer) { transfer.broadcast(root, data, is_root); });
  }

  std::unique_ptr<Operation> start_all_gather(const CallSite& call, std::span<const std::byte> mine,
                                              std::span<std::byte> all, Sizes byte_counts) override {
    const bool alike = std::ranges::all_of(byte_counts, [&](auto bytes) { return bytes == mine.size(); });
    return start(call, Sizes(byte_counts.size(), mine.size()), byte_counts, [&](Transfer& transfer) {
      if (alike) return transfer.all_gather(mine, all);
      const Pieces pieces(all, byte_counts);
      for (int other = 0; other < size(); ++other) transfer.send(other, mine);
      for (int other = 0; other < size(); ++other) transfer.receive(other, pieces[other]);
    });
  }

  std::unique_ptr<Operation> start_all_to_all(const CallSite& call, std::span<const std::byte> send,
                                              Sizes send_byte_counts, std::span<std::byte> receive,
                                              Sizes receive_byte_counts) override {
    const Pieces outgoing(send, send_byte_counts);
    const Pieces incoming(receive, receive_byte_counts);
    return start(call, send_byte_counts, receive_byte_counts, [&](Transfer& transfer) {
      for (int other = 0; other < size(); ++other) transfer.send(other, outgoing[other]);
      for (int other = 0; other < size(); ++other) transfer.receive(other, incoming[other]);
    });
  }

  std::unique_ptr<Operation> start_exchange(const CallSite& call, std::span<const Outgoing<std::byte>> sends,
                                            std::span<const Incoming<std::byte>> receives) override {
    const Traffic traffic = traffic_of_exchange(*this, sends, receives);
    return start(call, traffic.sends, traffic.receives, [&](Transfer& transfer) {
      for (const auto& it : sends) transfer.send(it.to, it.data);
      for (const auto& it : receives) transfer.receive(it.from, it.into);
    });
  }

  std::unique_ptr<Operation> start_barrier(const CallSite& call) override { return control_.barrier(call); }

  std::string name_of(int rank) const override { return control_.name_of(rank); }
  void listen() override { control_.listen(); }

  std::string consult(const CallSite& call, std::chrono::milliseconds patience) override {
    std::string said = control_.consult(call, patience);
    library_->abort();
    return said;
  }

 private:
  template <class Fill>
  std::unique_ptr<Operation> start(const CallSite& call, const Sizes& sends, const Sizes& receives,
                                   const Fill& fill) {
    auto agreement = checks_order() ? control_.agree(call, sends, receives) : nullptr;
    auto transfer = std::make_unique<Transfer>(lanes_, static_cast<std::size_t>(call.lane), open_);
    attempt(call, [&] {
      fill(*transfer);
      transfer->begin(std::move(agreement));
    });
    return transfer;
  }

  // Throws what fails with its call and what the others say.
  template <class Work>
  void attempt(const CallSite& call, const Work& work) {
    try {
      work();
    } catch (const CommError& error) {
      fail(call, error.what());
    }
  }

  CallSite connecting(Lane lane) const {
    return {Collective::connect, "NCCL", lane, 0, phase(), ElementType::byte};
  }

  // Rank 0 says whether GPUs may be shared.
  Choice choose_device(bool share) {
    const auto texts =
        gather_texts(control_.comm(), "GPUs", in_lines({library_->host(), library_->devices()}));
    std::vector<Seat> seats;
    seats.reserve(texts.size());
    for (const std::string& text : texts) seats.push_back(from_lines(text));
    const bool may_share =
        gather_texts(control_.comm(), "sharing GPUs", share ? "yes" : "no").front() == "yes";
    return choose_devices(seats, may_share)[static_cast<std::size_t>(rank())];
  }

  void use(const Choice& choice) {
    if (choice.shared) library_->pose_as_host(fmt::format("{}-{}", library_->host(), rank()));
    library_->use(choice.device);
  }

  // Rank 0's, one a lane.
  std::array<Id, lane_count> share_ids() {
    std::array<Id, lane_count> ids{};
    if (rank() == 0) {
      attempt(connecting(Lane::statistics),
              [&] { std::ranges::generate(ids, [&] { return library_->new_id(); }); });
    }
    const std::span<std::byte> bytes = std::as_writable_bytes(std::span(ids));
    control_.comm().broadcast(Lane::statistics, "NCCL's ids", bytes, 0).wait();
    return ids;
  }

  // Joins a lane's clique. A first exchange sets up the ways between all pairs now, while nothing else runs
  // on the GPU: it may wait for all of it.
  void connect(const CallSite& call, const Id& id) {
    TransferLane& lane = lanes_[static_cast<std::size_t>(call.lane)];
    attempt(call, [&] {
      lane.stream = library_->new_stream();
      lane.clique = library_->join(id, rank(), size());
    });
    Pending(std::make_unique<Settling>(*library_, lane.clique), this, call).wait();
    const std::vector<std::byte> mine(static_cast<std::size_t>(size()));
    std::vector<std::byte> theirs(mine.size());
    const Sizes one_each(mine.size(), 1);
    Pending(start_all_to_all(call, mine, one_each, theirs, one_each), this, call).wait();
  }

  // In order, which waits for the others as long as for any call. Whether it succeeded.
  bool left() {
    try {
      for (const TransferLane& lane : lanes_) {
        library_->leave(lane.clique);
        const CallSite call{Collective::leave, "NCCL", Lane::statistics, 0, phase(), ElementType::nothing};
        Pending(std::make_unique<Settling>(*library_, lane.clique), this, call).wait();
      }
      return true;
    } catch (const CommError& error) {
      spdlog::warn("{}", error.what());
      return false;
    }
  }

  TransferLane new_lane() { return {*library_, staging_, {}, {}}; }

  Control control_;
  std::unique_ptr<Library> library_;
  Staging staging_;
  std::array<TransferLane, lane_count> lanes_;
  int open_ = 0;
};

}  // namespace

std::unique_ptr<Communicator> make_transport(Communicator& control, std::unique_ptr<Library> library,
                                             bool share) {
  return std::make_unique<NcclCommunicator>(control, std::move(library), share);
}

}  // namespace lockstep::nccl

namespace lockstep {

void run_and_leave(std::unique_ptr<Communicator> nccl, const std::function<void(Communicator&)>& worker) {
  std::exception_ptr alike;
  try {
    worker(*nccl);
  } catch (const CommError&) {
    throw;
  } catch (const Error&) {
    alike = std::current_exception();
  }
  nccl.reset();
  if (alike) std::rethrow_exception(alike);
}

}  // namespace lockstep
