// One worker of a training step under SimGrid SMPI: the exchanges of a plan (plan.cpp), by comm/ itself, with
// computing replaced by virtual time. Usage: simulate_worker MODE PLAN BUCKET_BYTES COMPUTE_SECONDS. Rank 0
// prints one line of JSON: seconds on the slowest worker.
//   step       a whole step, and its statistics and gradients alone
//   check      the same with real memory; the sums are compared with what they should be
//   allreduce  MPI_Allreduce in place of each exchange: a list for the statistics and one for the buckets
#include <fmt/format.h>
#include <mpi.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
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
  Worker(Communicator& comm, const StepPlan& plan, std::size_t bucket_bytes)
      : comm_(comm),
        plan_(plan),
        bucket_bytes_(bucket_bytes),
        exchange_(ShardLayout(comm.size(), comm.size(), comm.rank()), comm.size()),
        reducer_(comm, ShardLayout(comm.size(), comm.size(), comm.rank()), plan.tensors,
                 {.bucket_bytes = bucket_bytes}),
        gradients_(plan.floats(), static_cast<float>(comm.rank() + 1)) {}

  void step(double compute_seconds) {
    begin();
    for (const Event& event : plan_.events) {
      if (event.kind == Event::Kind::statistics) meet(event.what);
      if (event.kind == Event::Kind::ready) reducer_.ready(event.what);
      if (event.kind != Event::Kind::compute) continue;
      simulated::compute(event.share * compute_seconds);
      simulated::only_look(true);
      reducer_.progress();
      simulated::only_look(false);
    }
    reducer_.finish();
  }

  void statistics() {
    for (const Event& event : plan_.events) {
      if (event.kind == Event::Kind::statistics) meet(event.what);
    }
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
    const int all = comm_.size() * (comm_.size() + 1) / 2;
    const auto wrong = [&](auto value) { return value != static_cast<decltype(value)>(all); };
    if (std::ranges::any_of(gradients_, wrong) || std::ranges::any_of(results_, wrong)) {
      throw std::logic_error(fmt::format("rank {}: a sum is wrong", comm_.rank()));
    }
  }

 private:
  void begin() { reducer_.begin(std::vector<float*>{gradients_.data()}, gradients_.data(), comm_.size()); }

  void meet(std::size_t width) {
    leaves_.assign(width, comm_.rank() + 1);
    results_.resize(width);
    exchange_.run(comm_, "statistics", comm_.size(), width, leaves_, sum_of(width), results_);
  }

  Communicator& comm_;
  const StepPlan& plan_;
  std::size_t bucket_bytes_;
  TreeExchange exchange_;
  GradientReducer reducer_;
  std::vector<float> gradients_;
  std::vector<double> leaves_, results_;
};

// On the slowest worker.
double seconds_of(const std::function<void()>& work) {
  MPI_Barrier(MPI_COMM_WORLD);
  const double start = simulated::now();
  work();
  double seconds = simulated::now() - start;
  MPI_Allreduce(MPI_IN_PLACE, &seconds, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
  return seconds;
}

void run_step(Communicator& comm, const StepPlan& plan, std::size_t bucket_bytes, double compute_seconds,
              bool checks) {
  if (!checks) simulated::share_large_memory();
  Worker worker(comm, plan, bucket_bytes);
  const double step = seconds_of([&] { worker.step(compute_seconds); });
  if (checks) worker.check();
  const double statistics = seconds_of([&] { worker.statistics(); });
  const double gradients = seconds_of([&] { worker.gradients(); });
  if (comm.rank() != 0) return;
  fmt::print(R"({{"workers": {}, "compute_s": {}, "step_s": {}, "statistics_s": {}, "gradients_s": {}}})"
             "\n",
             comm.size(), compute_seconds, step, statistics, gradients);
}

void add_nothing(void* /*in*/, void* /*inout*/, int* /*count*/, MPI_Datatype* /*type*/) {}

void run_allreduce(const Communicator& comm, const StepPlan& plan, std::size_t bucket_bytes) {
  simulated::share_large_memory();
  MPI_Op sum = MPI_OP_NULL;
  MPI_Op_create(&add_nothing, 1, &sum);  // it would take no virtual time, but most of the simulation's
  std::vector<float> gradients(plan.floats());
  std::vector<double> of_statistics;
  std::vector<double> of_buckets;
  for (const Event& event : plan.events) {
    if (event.kind != Event::Kind::statistics) continue;
    std::vector<double> values(event.what);
    of_statistics.push_back(seconds_of([&] {
      MPI_Allreduce(MPI_IN_PLACE, values.data(), static_cast<int>(values.size()), MPI_DOUBLE, sum,
                    MPI_COMM_WORLD);
    }));
  }
  for (const Range bucket : plan_buckets(plan.tensors, bucket_bytes / sizeof(float))) {
    of_buckets.push_back(seconds_of([&] {
      MPI_Allreduce(MPI_IN_PLACE, gradients.data(), static_cast<int>(bucket.size()), MPI_FLOAT, sum,
                    MPI_COMM_WORLD);
    }));
  }
  if (comm.rank() != 0) return;
  fmt::print(R"({{"statistics_s": [{}], "gradients_s": [{}]}})"
             "\n",
             fmt::join(of_statistics, ", "), fmt::join(of_buckets, ", "));
}

void run(const std::vector<std::string>& arguments) {
  if (arguments.size() != 4) {
    throw std::runtime_error("usage: step|check|allreduce PLAN BUCKET_BYTES COMPUTE_SECONDS");
  }
  const StepPlan plan = read_plan(arguments[1]);
  const std::size_t bucket_bytes = std::stoull(arguments[2]);
  const auto comm = make_mpi();
  comm->set_check_order(false);  // as comm.check_order: false
  if (arguments[0] == "allreduce") {
    run_allreduce(*comm, plan, bucket_bytes);
  } else {
    run_step(*comm, plan, bucket_bytes, std::stod(arguments[3]), arguments[0] == "check");
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
