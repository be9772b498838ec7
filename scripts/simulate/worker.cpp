// One worker of a training step under SimGrid SMPI: the exchanges of a plan (plan.cpp), by comm/ itself, with
// computing replaced by virtual time. Usage: simulate_worker MODE PLAN BUCKET_BYTES COMPUTE_SECONDS. Rank 0
// prints one line of JSON: seconds on the slowest worker.
//   parts      statistics and gradients alone. Statistics block, so one exchange of each size is made, and
//              counts as often as there is one of that size
//   step       the same, and a whole step
//   check      the same with real memory; the sums are compared with what they should be
//   allreduce  MPI_Allreduce in place of the parts, a list for each: of all exchanges of one size
#include <fmt/format.h>
#include <mpi.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "comm/gradients/buckets.h"
#include "comm/gradients/reducer.h"
#include "comm/mpi/mpi.h"
#include "comm/tree/exchange.h"
#include "scripts/simulate/simulated.h"

namespace {

using namespace lockstep;

struct Event {
  enum class Kind { compute, ready, statistics };
  Kind kind;
  double share = 0;      // compute
  std::size_t what = 0;  // ready: tensor; statistics: values
};

struct StepPlan {
  std::vector<Range> tensors;
  std::vector<Event> events;
  std::size_t floats() const { return static_cast<std::size_t>(tensors.back().end); }
};

StepPlan read_plan(const std::string& file) {
  std::ifstream lines(file);
  StepPlan plan;
  std::string word;
  while (lines >> word) {
    Event event{};
    if (word == "compute") {
      lines >> event.share;
      plan.events.push_back(event);
      continue;
    }
    lines >> event.what;
    if (word == "tensor") {
      const std::int64_t begin = plan.tensors.empty() ? 0 : plan.tensors.back().end;
      plan.tensors.push_back({begin, begin + static_cast<std::int64_t>(event.what)});
      continue;
    }
    event.kind = word == "ready" ? Event::Kind::ready : Event::Kind::statistics;
    plan.events.push_back(event);
  }
  if (plan.tensors.empty() || plan.events.empty()) throw std::runtime_error("no plan in " + file);
  return plan;
}

// A shard a worker, all with samples.
class Worker {
 public:
  Worker(Communicator& comm, const StepPlan& plan, std::size_t bucket_bytes, bool checks)
      : comm_(comm),
        plan_(plan),
        checks_(checks),
        exchange_(ShardLayout(comm.size(), comm.size(), comm.rank()), comm.size()),
        reducer_(comm, ShardLayout(comm.size(), comm.size(), comm.rank()), plan.tensors,
                 {.bucket_bytes = bucket_bytes}),
        gradients_(plan.floats()) {}

  void step(double compute_seconds) {
    begin();
    for (const Event& event : plan_.events) {
      if (event.kind == Event::Kind::statistics) meet(event.what);
      if (event.kind == Event::Kind::ready) reducer_.ready(event.what);
      if (event.kind != Event::Kind::compute) continue;
      simulated::only_look(true);
      reducer_.progress();
      simulated::only_look(false);
      simulated::compute(event.share * compute_seconds);
    }
    reducer_.finish();
  }

  // An exchange of the statistics. Blocks, as in training.
  void meet(std::size_t width) {
    leaves_.assign(width, comm_.rank() + 1);
    results_.resize(width);
    exchange_.run(comm_, "statistics", comm_.size(), width, leaves_, sum_of(width), results_);
  }

  void gradients() {
    begin();
    for (const Event& event : plan_.events) {
      if (event.kind == Event::Kind::ready) reducer_.ready(event.what);
    }
    reducer_.finish();
  }

  // Small whole numbers: their sums are exact.
  void check() const {
    if (!checks_) return;
    const int all = comm_.size() * (comm_.size() + 1) / 2;
    const auto wrong = [&](auto value) { return value != static_cast<decltype(value)>(all); };
    if (std::ranges::any_of(gradients_, wrong) || std::ranges::any_of(results_, wrong)) {
      throw std::logic_error(fmt::format("rank {}: a sum is wrong", comm_.rank()));
    }
  }

 private:
  void begin() {
    if (checks_) std::ranges::fill(gradients_, static_cast<float>(comm_.rank() + 1));
    reducer_.begin(std::vector<float*>{gradients_.data()}, gradients_.data(), comm_.size());
  }

  Communicator& comm_;
  const StepPlan& plan_;
  bool checks_;
  TreeExchange exchange_;
  GradientReducer reducer_;
  std::vector<float> gradients_;
  std::vector<double> leaves_, results_;
};

double largest(double value) {
  MPI_Allreduce(MPI_IN_PLACE, &value, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
  return value;
}

// On the slowest worker, where all begin at the same moment. (They leave a barrier one after the other.)
double seconds_of(const std::function<void()>& work) {
  const double start = largest(simulated::now()) + 1e-3;
  simulated::compute(start - simulated::now());
  work();
  return largest(simulated::now() - start);
}

// How many values each exchange of the statistics has, and how often there is one of so many.
std::map<std::size_t, int> statistics_of(const StepPlan& plan) {
  std::map<std::size_t, int> widths;
  for (const Event& event : plan.events) {
    if (event.kind == Event::Kind::statistics) ++widths[event.what];
  }
  return widths;
}

void run_step(Communicator& comm, const StepPlan& plan, std::size_t bucket_bytes, double compute_seconds,
              const std::string& mode) {
  const bool checks = mode == "check";
  if (!checks) simulated::share_large_memory();
  Worker worker(comm, plan, bucket_bytes, checks);
  double statistics = 0;
  for (const auto& [width, count] : statistics_of(plan)) {
    statistics += count * seconds_of([&, width = width] { worker.meet(width); });
  }
  const double gradients = seconds_of([&] { worker.gradients(); });
  worker.check();
  double step = 0;
  if (mode != "parts") step = seconds_of([&] { worker.step(compute_seconds); });
  worker.check();
  if (comm.rank() != 0) return;
  fmt::print(R"({{"workers": {}, "compute_s": {}, "step_s": {}, "statistics_s": {}, "gradients_s": {}}})"
             "\n",
             comm.size(), compute_seconds, mode == "parts" ? "null" : fmt::to_string(step), statistics,
             gradients);
}

void add_nothing(void* /*in*/, void* /*inout*/, int* /*count*/, MPI_Datatype* /*type*/) {}

// Seconds of MPI_Allreduce of so many elements.
double allreduce_seconds(MPI_Datatype type, MPI_Op sum, std::size_t count) {
  const std::vector<double> from(count);  // of the longest type
  std::vector<double> into(count);
  return seconds_of(
      [&] { MPI_Allreduce(from.data(), into.data(), static_cast<int>(count), type, sum, MPI_COMM_WORLD); });
}

void run_allreduce(const Communicator& comm, const StepPlan& plan, std::size_t bucket_bytes) {
  simulated::share_large_memory();
  MPI_Op sum = MPI_OP_NULL;
  MPI_Op_create(&add_nothing, 1, &sum);  // it would take no virtual time, but most of the simulation's
  std::map<std::size_t, int> buckets;
  for (const Range bucket : plan_buckets(plan.tensors, bucket_bytes / sizeof(float))) {
    ++buckets[static_cast<std::size_t>(bucket.size())];
  }
  const auto seconds_of_all = [&](MPI_Datatype type, const std::map<std::size_t, int>& counts) {
    std::vector<double> seconds;
    for (const auto& [count, times] : counts) seconds.push_back(times * allreduce_seconds(type, sum, count));
    return seconds;
  };
  const std::vector<double> of_statistics = seconds_of_all(MPI_DOUBLE, statistics_of(plan));
  const std::vector<double> of_buckets = seconds_of_all(MPI_FLOAT, buckets);
  if (comm.rank() != 0) return;
  fmt::print(R"({{"statistics_s": [{}], "gradients_s": [{}]}})"
             "\n",
             fmt::join(of_statistics, ", "), fmt::join(of_buckets, ", "));
}

void run(const std::vector<std::string>& arguments) {
  if (arguments.size() != 4) {
    throw std::runtime_error("usage: step|parts|check|allreduce PLAN BUCKET_BYTES COMPUTE_SECONDS");
  }
  const StepPlan plan = read_plan(arguments[1]);
  const std::size_t bucket_bytes = std::stoull(arguments[2]);
  const auto comm = make_mpi();
  comm->set_check_order(false);  // as comm.check_order: false
  if (arguments[0] == "allreduce") {
    run_allreduce(*comm, plan, bucket_bytes);
  } else {
    run_step(*comm, plan, bucket_bytes, std::stod(arguments[3]), arguments[0]);
  }
}

}  // namespace

int main(int count, char** arguments) {
  try {
    run({arguments + 1, arguments + count});
    std::fflush(stdout);
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    std::exit(1);
  }
}
