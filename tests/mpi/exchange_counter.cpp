#include <mpi.h>
// Needs mpi.h before it.
#include <mpi-ext.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <mutex>
#include <string>
#include <tuple>

// Counts what an MPI program exchanges, seen from outside: loaded before libmpi (LD_PRELOAD), it stands in
// for the functions in the tables below and passes each call on to MPI's profiling interface. MPI_Finalize
// writes rank-<rank>.json to the folder that the environment variable EXCHANGE_COUNTS names: a row for each
// function that was called, and for messages also for each worker they went to.

namespace {

enum class Kind { set_up, collective, message, none };  // set_up: of communicators

struct Call {
  Kind kind = Kind::none;
  std::string name;
  int to = -1;  // a message's destination, in MPI_COMM_WORLD

  auto operator<=>(const Call&) const = default;
};

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "exchange_counter: %s\n", why.c_str());
  std::abort();
}

class Tally {
 public:
  void made(const Call& call) {
    const std::lock_guard lock(mutex_);
    add(call);
  }

  // A persistent request exchanges nothing until it is started, and then each time.
  void prepared(MPI_Request request, const Call& call) {
    const std::lock_guard lock(mutex_);
    prepared_[request] = call;
  }

  void started(MPI_Request request) {
    const std::lock_guard lock(mutex_);
    const auto found = prepared_.find(request);
    if (found == prepared_.end()) give_up("a request was started that no function in the tables prepared");
    add(found->second);
  }

  void write(const std::string& path) const {
    std::ofstream file(path);
    file << '[';
    const char* separator = "\n";
    for (const auto& [call, times] : counts_) {
      file << separator << R"({"kind": ")" << name_of(call.kind) << R"(", "name": ")" << call.name
           << R"(", "to": )" << call.to << R"(, "count": )" << times << '}';
      separator = ",\n";
    }
    file << "\n]\n";
    if (!file.flush()) give_up("cannot write " + path);
  }

 private:
  void add(const Call& call) {
    if (call.kind != Kind::none) ++counts_[call];
  }

  static const char* name_of(Kind kind) {
    return kind == Kind::set_up ? "set_up" : kind == Kind::collective ? "collective" : "message";
  }

  std::mutex mutex_;
  std::map<Call, long> counts_;
  std::map<MPI_Request, Call> prepared_;
};

// Never destroyed: a program may finalize while it ends.
Tally& tally() {
  static auto* const it = new Tally;
  return *it;
}

int world_rank(MPI_Comm comm, int rank) {
  if (rank == MPI_PROC_NULL) return rank;
  MPI_Group group = MPI_GROUP_NULL;
  MPI_Group world = MPI_GROUP_NULL;
  PMPI_Comm_group(comm, &group);
  PMPI_Comm_group(MPI_COMM_WORLD, &world);
  int in_world = MPI_UNDEFINED;
  PMPI_Group_translate_ranks(group, 1, &rank, world, &in_world);
  PMPI_Group_free(&group);
  PMPI_Group_free(&world);
  return in_world;
}

template <std::size_t size>
struct Name {
  constexpr Name(const char (&literal)[size]) { std::copy_n(literal, size, text); }
  char text[size];
};

enum class When { now, once_started };

// What stands in for the function `real`. Its signature is read off, so that the tables need only names.
template <Name name, Kind kind, When when, auto real>
struct StandIn;

template <Name name, Kind kind, When when, class... Arguments, int (*real)(Arguments...)>
struct StandIn<name, kind, when, real> {
  static int call(Arguments... arguments) {
    const int result = real(arguments...);
    const std::tuple<Arguments...> all(arguments...);
    Call made{.kind = kind, .name = name.text};
    if constexpr (kind == Kind::message) {
      constexpr std::size_t destination = 3;  // in every send: buffer, count, type, destination
      made.to = world_rank(std::get<MPI_Comm>(all), std::get<destination>(all));
      if (made.to == MPI_PROC_NULL) made.kind = Kind::none;
    }
    if constexpr (when == When::once_started) {
      if (result == MPI_SUCCESS) tally().prepared(*std::get<MPI_Request*>(all), made);
    } else {
      tally().made(made);
    }
    return result;
  }
};

}  // namespace

// Exports `function`, which the loader asks `resolve_` for: a function cannot be defined by its type alone.
#define STAND_IN(kind, when, function)                                                                \
  extern "C" {                                                                                        \
  [[maybe_unused]] static auto* resolve_##function() {                                                \
    return &StandIn<#function, Kind::kind, When::when, P##function>::call;                            \
  }                                                                                                   \
  decltype(P##function) function __attribute__((ifunc("resolve_" #function), visibility("default"))); \
  }

#define SET_UP(function) STAND_IN(set_up, now, MPI_##function)

// Blocking, non-blocking and persistent; the last are an extension in Open MPI 4.1, hence MPIX.
#define COLLECTIVE(blocking, non_blocking)      \
  STAND_IN(collective, now, MPI_##blocking)     \
  STAND_IN(collective, now, MPI_##non_blocking) \
  STAND_IN(collective, once_started, MPIX_##blocking##_init)

#define SEND(blocking, non_blocking)         \
  STAND_IN(message, now, MPI_##blocking)     \
  STAND_IN(message, now, MPI_##non_blocking) \
  STAND_IN(message, once_started, MPI_##blocking##_init)

SET_UP(Comm_create)
SET_UP(Comm_create_group)
SET_UP(Comm_dup)
SET_UP(Comm_dup_with_info)
SET_UP(Comm_idup)
SET_UP(Comm_split)
SET_UP(Comm_split_type)
SET_UP(Cart_create)
SET_UP(Cart_sub)
SET_UP(Graph_create)
SET_UP(Dist_graph_create)
SET_UP(Dist_graph_create_adjacent)

COLLECTIVE(Barrier, Ibarrier)
COLLECTIVE(Bcast, Ibcast)
COLLECTIVE(Gather, Igather)
COLLECTIVE(Gatherv, Igatherv)
COLLECTIVE(Scatter, Iscatter)
COLLECTIVE(Scatterv, Iscatterv)
COLLECTIVE(Allgather, Iallgather)
COLLECTIVE(Allgatherv, Iallgatherv)
COLLECTIVE(Alltoall, Ialltoall)
COLLECTIVE(Alltoallv, Ialltoallv)
COLLECTIVE(Alltoallw, Ialltoallw)
COLLECTIVE(Reduce, Ireduce)
COLLECTIVE(Allreduce, Iallreduce)
COLLECTIVE(Reduce_scatter, Ireduce_scatter)
COLLECTIVE(Reduce_scatter_block, Ireduce_scatter_block)
COLLECTIVE(Scan, Iscan)
COLLECTIVE(Exscan, Iexscan)
COLLECTIVE(Neighbor_allgather, Ineighbor_allgather)
COLLECTIVE(Neighbor_allgatherv, Ineighbor_allgatherv)
COLLECTIVE(Neighbor_alltoall, Ineighbor_alltoall)
COLLECTIVE(Neighbor_alltoallv, Ineighbor_alltoallv)
COLLECTIVE(Neighbor_alltoallw, Ineighbor_alltoallw)

SEND(Send, Isend)
SEND(Bsend, Ibsend)
SEND(Ssend, Issend)
SEND(Rsend, Irsend)
STAND_IN(message, now, MPI_Sendrecv)
STAND_IN(message, now, MPI_Sendrecv_replace)
STAND_IN(none, once_started, MPI_Recv_init)

int MPI_Start(MPI_Request* request) {
  tally().started(*request);
  return PMPI_Start(request);
}

int MPI_Startall(int count, MPI_Request requests[]) {
  std::for_each(requests, requests + count, [](MPI_Request request) { tally().started(request); });
  return PMPI_Startall(count, requests);
}

int MPI_Finalize() {
  const char* folder = std::getenv("EXCHANGE_COUNTS");
  if (folder == nullptr) give_up("EXCHANGE_COUNTS names no folder");
  int rank = 0;
  PMPI_Comm_rank(MPI_COMM_WORLD, &rank);
  tally().write(std::string(folder) + "/rank-" + std::to_string(rank) + ".json");
  return PMPI_Finalize();
}
