#pragma once

#include <mpi.h>

#include <cstddef>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "comm/communicator.h"

namespace lockstep {

class MessageLane;

// One collective as messages between pairs of workers.
//
// It is one of `open` until it has finished. One that failed or was dropped early stays open for ever: its
// handles are abandoned.
class Exchange final : public Operation {
 public:
  // `tag`: what all workers must call alike; nothing where that is not compared.
  Exchange(MessageLane& lane, std::optional<int> tag, int& open);
  ~Exchange() override;

  // A message may be empty; it is sent all the same.
  void receive(int from, std::span<std::byte> into);
  void send(int to, std::span<const std::byte> data);
  // Sent once everything has been received.
  void pass_on(int to, std::span<const std::byte> data);

  bool poll() override;
  // Those whose message has not come, and once all have come, those that did not take ours.
  std::vector<int> missing() override;
  // The former alone.
  std::vector<int> silent();

 private:
  friend class MessageLane;

  struct Receive {
    int from = 0;
    std::span<std::byte> into;
    bool begun = false;  // its message has come and is being received
    std::size_t request = 0;
  };
  struct Send {
    int to;
    std::span<const std::byte> data;
  };
  struct Sent {
    int to;
    std::size_t request;
  };
  struct Messages {
    std::vector<Receive> receives;
    std::vector<Send> passed_on;
    std::vector<Sent> sent;
    std::vector<MPI_Request> requests;  // null ones have finished

    void clear();
  };

  bool done(std::size_t request);
  void begin(Receive& receive);
  void check(const Receive& receive, const MPI_Status& status) const;

  MessageLane& lane_;
  std::optional<int> tag_;
  int& open_;
  Messages messages_;
};

// A communicator of MPI and the exchanges under way on it, in the order in which they were started.
//
// Messages of a pair of workers keep their order, so the next one from a worker is that of its next
// collective on this lane, whatever that is. Its tag and its length tell whether it is the one that is waited
// for. They are looked at before it is received: Open MPI writes behind a buffer that is too small for a
// large message.
class MessageLane {
 public:
  // Collective.
  MessageLane();
  void free() { MPI_Comm_free(&comm_); }

  MPI_Comm comm() const { return comm_; }
  // Receives what has come. Throws CommError where it belongs to something else.
  void progress();

 private:
  friend class Exchange;

  MPI_Comm comm_ = MPI_COMM_NULL;
  std::deque<Exchange*> under_way_;
  std::vector<Exchange::Messages> spare_;  // empty, of exchanges that have ended: for their memory
  std::vector<char> waited_for_;           // ranks of which an earlier exchange still waits for a message
};

}  // namespace lockstep
