#include "comm/nccl/transport.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
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
#include "comm/nccl/queue.h"
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

// Finishes once NCCL has done what it was told.
class Settling final : public Operation {
 public:
  explicit Settling(Library& library) : library_(library) {}
  bool poll() override { return library_.settled(); }

 private:
  Library& library_;
};

// A call that goes over the control. Whoever waits for it hands over transfers too.
class Beside final : public Operation {
 public:
  Beside(Queue& queue, std::unique_ptr<Operation> call) : queue_(queue), call_(std::move(call)) {}

  bool poll() override {
    queue_.progress(nullptr);
    return call_->poll();
  }
  std::vector<int> missing() override { return call_->missing(); }

 private:
  Queue& queue_;
  std::unique_ptr<Operation> call_;
};

class NcclCommunicator final : public Communicator {
 public:
  NcclCommunicator(Communicator& control, std::unique_ptr<Library> library, bool share)
      : Communicator(control.rank(), control.size()),
        control_(control),
        library_(std::move(library)),
        staging_(*library_) {
    set_timeout(control.timeout());
    const CallSite connecting = begin(Collective::connect, Lane::scatter, "NCCL", ElementType::byte);
    const Choice choice = choose_device(connecting, share);
    attempt(connecting, [&] { use(choice); });
    connect(connecting, share_id(connecting));
    number_on(Lane::statistics, control);
  }

  ~NcclCommunicator() override {
    if (open_ != 0 || std::uncaught_exceptions() != 0 || !left()) library_->abort();
  }

  std::string_view transport() const override { return "nccl"; }
  bool has_one_queue() const override { return true; }
  Links links() const override { return {"", "", library_->version()}; }
  void set_check_order(bool check) override { control_.comm().set_check_order(check); }
  [[noreturn]] void abort(ExitCode code) override {
    control_.comm().abort(code);
    leave_process(code);
  }

 protected:
  std::unique_ptr<Operation> start_broadcast(const CallSite& call, std::span<std::byte> data,
                                             int root) override {
    if (call.lane == Lane::statistics) return beside(control_.broadcast(call, data, root));
    const bool is_root = rank() == root;
    const Traffic traffic = traffic_of_broadcast(*this, root, data.size());
    return start(call, traffic.sends, traffic.receives,
                 [&](Transfer& transfer) { transfer.broadcast(root, data, is_root); });
  }

  std::unique_ptr<Operation> start_all_gather(const CallSite& call, std::span<const std::byte> mine,
                                              std::span<std::byte> all, Sizes byte_counts) override {
    if (call.lane == Lane::statistics) return beside(control_.all_gather(call, mine, all, byte_counts));
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
    if (call.lane == Lane::statistics) {
      return beside(control_.all_to_all(call, send, send_byte_counts, receive, receive_byte_counts));
    }
    const Pieces outgoing(send, send_byte_counts);
    const Pieces incoming(receive, receive_byte_counts);
    return start(call, send_byte_counts, receive_byte_counts, [&](Transfer& transfer) {
      for (int other = 0; other < size(); ++other) transfer.send(other, outgoing[other]);
      for (int other = 0; other < size(); ++other) transfer.receive(other, incoming[other]);
    });
  }

  std::unique_ptr<Operation> start_exchange(const CallSite& call, std::span<const Outgoing<std::byte>> sends,
                                            std::span<const Incoming<std::byte>> receives) override {
    if (call.lane == Lane::statistics) return beside(control_.exchange(call, sends, receives));
    const Traffic traffic = traffic_of_exchange(*this, sends, receives);
    const std::span<std::byte> all = gathered(sends, receives);
    const auto fill = [&](Transfer& transfer) {
      for (const auto& it : sends) transfer.send(it.to, it.data);
      for (const auto& it : receives) transfer.receive(it.from, it.into);
      if (!all.empty()) transfer.all_gather_instead(sends.front().data, all);
    };
    return start(call, traffic.sends, traffic.receives, fill, !all.empty());
  }

  std::unique_ptr<Operation> start_barrier(const CallSite& call) override {
    return beside(control_.barrier(call));
  }

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
                                   const Fill& fill, bool gathers = false) {
    auto agreement = control_.agree(call, sends, receives, queue_.started_beside(call.lane), gathers);
    auto transfer = std::make_unique<Transfer>(*library_, staging_, queue_, call, open_);
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

  // Where everybody's data of an exchange come to lie, if it goes to everybody, is equally long, and lies in
  // the order of ranks on the GPU, this worker's in between: as slices of a bucket that all workers gather.
  // Else nothing. NCCL's own way between hosts is shorter for that than sends and receives.
  std::span<std::byte> gathered(std::span<const Outgoing<std::byte>> sends,
                                std::span<const Incoming<std::byte>> receives) {
    const auto others = static_cast<std::size_t>(size()) - 1;
    if (others == 0 || sends.size() != others || receives.size() != others) return {};
    const std::span<const std::byte> mine = sends.front().data;
    const auto at = [&](int rank) { return mine.data() + (rank - this->rank()) * std::ssize(mine); };
    const bool alike = std::ranges::all_of(sends, [&](const auto& it) {
      return it.data.data() == mine.data() && it.data.size() == mine.size();
    });
    const bool in_order = std::ranges::all_of(receives, [&](const auto& it) {
      return it.into.data() == at(it.from) && it.into.size() == mine.size();
    });
    if (mine.empty() || !alike || !in_order || !library_->on_device(mine.data())) return {};
    // NCCL is asked to write its own piece of it only with what lies there.
    return {const_cast<std::byte*>(at(0)), mine.size() * (others + 1)};
  }

  std::unique_ptr<Operation> beside(std::unique_ptr<Operation> call) {
    return call ? std::make_unique<Beside>(queue_, std::move(call)) : nullptr;
  }

  // Rank 0 says whether GPUs may be shared.
  Choice choose_device(const CallSite& connecting, bool share) {
    std::string mine;
    attempt(connecting, [&] { mine = in_lines({library_->host(), library_->devices()}); });
    const auto texts = gather_texts(control_.comm(), "GPUs", mine);
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

  // Rank 0's.
  Id share_id(const CallSite& connecting) {
    Id id{};
    if (rank() == 0) attempt(connecting, [&] { id = library_->new_id(); });
    control_.comm().broadcast(Lane::statistics, "NCCL's id", std::span<std::byte>(id), 0).wait();
    return id;
  }

  // A first exchange sets up the ways between all pairs now, while nothing else runs on the GPU: it may wait
  // for all of it.
  void connect(const CallSite& call, const Id& id) {
    attempt(call, [&] { library_->join(id, rank(), size()); });
    Pending(std::make_unique<Settling>(*library_), this, call).wait();
    const std::vector<std::byte> mine(static_cast<std::size_t>(size()));
    std::vector<std::byte> theirs(mine.size());
    const Sizes one_each(mine.size(), 1);
    Pending(start_all_to_all(call, mine, one_each, theirs, one_each), this, call).wait();
  }

  // In order, which waits for the others as long as for any call. Whether it succeeded.
  bool left() {
    try {
      library_->leave();
      const CallSite call = begin(Collective::leave, Lane::scatter, "NCCL", ElementType::nothing);
      Pending(std::make_unique<Settling>(*library_), this, call).wait();
      return true;
    } catch (const CommError& error) {
      spdlog::warn("{}", error.what());
      return false;
    }
  }

  Control control_;
  std::unique_ptr<Library> library_;
  Staging staging_;
  Queue queue_;
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
