#include "trainer/loop/workers.h"

#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <exception>

#include "comm/base/leave.h"
#include "comm/base/log.h"
#include "comm/base/told_error.h"
#include "comm/mpi/mpi.h"
#include "comm/nccl/nccl.h"
#include "comm/single/single.h"
#include "comm/threads/threads.h"
#include "comm/watch/watchdog.h"
#include "layers/ops/threads.h"
#include "trainer/loop/agree.h"
#include "trainer/loop/device.h"
#include "trainer/loop/lacking.h"

namespace lockstep {
namespace {

using Backend = CommConfig::Backend;

Workers under_launcher(const Launch& launch, Backend backend, std::optional<int> requested) {
  if (requested) {
    throw UsageError(
        fmt::format("--workers is for a run without a launcher; this one was started with {} "
                    "process(es) by a launcher: leave --workers out",
                    launch.size));
  }
  if (backend == Backend::threads) {
    throw UsageError(
        fmt::format("comm.backend is threads, but a launcher started {} process(es): set it to "
                    "auto or mpi, or start without the launcher, with --workers {}",
                    launch.size, launch.size));
  }
  return {Workers::Kind::mpi, launch.size, launch.rank};
}

Workers alone(Backend backend, std::optional<int> requested) {
  if (backend == Backend::mpi || backend == Backend::nccl) {
    throw UsageError(
        fmt::format("comm.backend is {}, but no launcher started this process: start it with mpirun -n N, or "
                    "set comm.backend to auto and use --workers N",
                    backend == Backend::mpi ? "mpi" : "nccl"));
  }
  const int count = requested.value_or(1);
  const bool threads = count > 1 || backend == Backend::threads;
  return {threads ? Workers::Kind::threads : Workers::Kind::single, count, 0};
}

std::atomic<bool> met{false};  // MPI begins once a process

// Where one of them failed before (share_failure), all hear of it.
void meet(
    Communicator& comm, const std::function<void()>& before = [] {}) {
  agree(comm, "command line and configuration", before);
}

std::chrono::milliseconds timeout(const CommConfig& config) {
  return std::chrono::ceil<std::chrono::milliseconds>(std::chrono::duration<double>(config.timeout_s));
}

// Later than any deadline of a collective, which knows better who is missing.
std::chrono::milliseconds longest_silence(const CommConfig& config) {
  return timeout(config) + std::chrono::seconds(5);
}

std::string name_of(const Workers& workers) {
  if (workers.kind == Workers::Kind::mpi) return fmt::format("rank {} of {}", workers.rank, workers.count);
  return fmt::format("this run of {} worker(s)", workers.count);
}

// What all workers threw alike is told before MPI ends, which waits for all: a launcher kills those that
// still run soon after the first one left with an error, among them perhaps the one that has yet to tell it.
void run_mpi(const std::function<void(Communicator&)>& worker) {
  met = true;
  std::exception_ptr alike;
  const auto run = [&](Communicator& comm) {
    try {
      worker(comm);
    } catch (const CommError&) {
      throw;
    } catch (const Error& error) {
      if (comm.rank() == 0) fmt::print(stderr, "{}\n", error.what());
      flush_output();
      alike = std::make_exception_ptr(ToldError(error.code(), error.what()));
    } catch (const std::exception& error) {
      if (const auto lack = lacking(error)) {
        spdlog::critical("{} (rank {}, {})", lack->what, comm.rank(), comm.phase());
        comm.abort(lack->code);
      }
      spdlog::critical(
          "{} (rank {}, {}): this is a bug of ours, please report it with command line and configuration",
          error.what(), comm.rank(), comm.phase());
      comm.abort(ExitCode::bug);
    }
  };
  run(*make_mpi());
  if (alike) std::rethrow_exception(alike);
}

}  // namespace

Workers choose_workers(const Config& config, std::optional<int> requested) {
  require_device(config.device);
  const auto launch = launched();
  const Workers workers = launch ? under_launcher(*launch, config.comm.backend, requested)
                                 : alone(config.comm.backend, requested);
  if (config.device == ComputeOn::gpu) require_gpu_transport(config.comm.backend, workers);
  if (workers.count > config.batch.shards) {
    throw UsageError(
        fmt::format("there are {0} workers, but batch.shards is {1}: every worker needs a shard. Use at most "
                    "{1} workers, or set batch.shards to at least {0} (shards belong to the result: another "
                    "number of them trains other weights)",
                    workers.count, config.batch.shards));
  }
  return workers;
}

void share_failure(const std::exception_ptr& failure) {
  const auto launch = launched();
  if (met || !launch || launch->size == 1) return;
  const Watchdog watchdog(name_of({Workers::Kind::mpi, launch->size, launch->rank}), longest_silence({}));
  run_mpi([&](Communicator& comm) { meet(comm, [&] { std::rethrow_exception(failure); }); });
}

void run_workers(const Workers& workers, const CommConfig& config,
                 const std::function<void(Communicator&)>& worker) {
  start_log(workers.rank);
  const Watchdog watchdog(name_of(workers), longest_silence(config));
  const auto prepared = [&](Communicator& comm) {
    prepare_compute_thread();
    comm.set_timeout(timeout(config));
    comm.set_check_order(config.check_order);
    meet(comm);
    worker(comm);
  };
  switch (workers.kind) {
    case Workers::Kind::single:
      prepared(*make_single());
      break;
    case Workers::Kind::threads:
      run_threads(workers.count, prepared);
      break;
    case Workers::Kind::mpi:
      run_mpi([&](Communicator& comm) {
        if (config.backend != Backend::nccl) return prepared(comm);
        comm.set_timeout(timeout(config));
        run_and_leave(make_nccl(comm), prepared);
      });
      break;
  }
}

}  // namespace lockstep
