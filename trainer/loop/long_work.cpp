#include "trainer/loop/long_work.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <span>
#include <vector>

#include "comm/base/error.h"
#include "trainer/loop/agree.h"
#include "trainer/loop/stop.h"

namespace lockstep {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr Clock::duration longest_pause = 5s;  // small data are read before the first round

enum State : std::int64_t { done, working, asked_to_stop, failed };

// Leaves the work; why is told by the worker that failed.
struct AnotherFailed {};

// Exchanges in which each worker tells how it is, while it works or waits. All hear the same of each, so all
// leave after the same one: once all are done, one failed, or one was asked to stop.
class Rounds {
 public:
  explicit Rounds(Communicator& comm)
      : comm_(comm),
        pause_(std::min<Clock::duration>(longest_pause, comm.timeout() / 8)),
        all_(static_cast<std::size_t>(comm.size())),
        one_each_(all_.size(), 1) {}

  // While this one works. Does not wait.
  void look() {
    if (!under_way_) {
      if (Clock::now() - began_ < pause_) return;
      begin(stop_requested() ? asked_to_stop : working);
    }
    if (!round_.test()) return;
    hear();
    require_no_end();
  }

  // Once it does not work any more: until all leave.
  void end(State mine) {
    while (heard_ == working) {
      if (!under_way_) begin(mine);
      round_.wait();
      hear();
      if (mine == done && stop_requested()) mine = asked_to_stop;
    }
  }

  void require_no_end() const {
    if (heard_ == asked_to_stop)
      throw Error(ExitCode::stopped, "stopped before the first step; nothing was written");
    if (heard_ == failed) throw AnotherFailed();
  }

 private:
  void begin(State mine) {
    began_ = Clock::now();
    mine_ = mine;
    under_way_ = true;
    round_ = comm_.all_gather(Lane::statistics, "go on", std::span<const std::int64_t>(&mine_, 1),
                              std::span(all_), one_each_);
  }

  void hear() {
    under_way_ = false;
    heard_ = *std::ranges::max_element(all_);
  }

  Communicator& comm_;
  Clock::duration pause_;
  std::vector<std::int64_t> all_;
  std::vector<std::size_t> one_each_;
  Clock::time_point began_ = Clock::now();
  std::int64_t mine_ = working;
  std::int64_t heard_ = working;
  bool under_way_ = false;
  Pending round_;
};

}  // namespace

void agree_on_long_work(Communicator& comm, std::string_view name,
                        const std::function<void(const Meanwhile& meanwhile)>& work) {
  agree(comm, name, [&] {
    Rounds rounds(comm);
    try {
      work([&] { rounds.look(); });
      rounds.end(done);
      rounds.require_no_end();
    } catch (const CommError&) {
      throw;
    } catch (const AnotherFailed&) {
      return;
    } catch (...) {
      rounds.end(failed);
      throw;
    }
  });
}

}  // namespace lockstep
