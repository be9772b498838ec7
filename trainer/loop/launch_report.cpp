#include "trainer/loop/launch_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "comm/base/log.h"
#include "comm/base/text.h"
#include "trainer/loop/agree.h"
#include "trainer/loop/division.h"

namespace lockstep {
namespace {

using nlohmann::json;
using Ranks = std::vector<int>;

constexpr std::size_t most_groups = 8;  // of workers of a host that are listed one by one

std::string encode(const WorkerFacts& worker) {
  const Placement& place = worker.placement;
  const json object{{"host", place.host},
                    {"machine", place.machine},
                    {"cores", place.cores},
                    {"machine_cores", place.machine_cores},
                    {"threads", place.threads},
                    {"within_host", worker.links.within_host},
                    {"between_hosts", worker.links.between_hosts},
                    {"carrier", worker.links.carrier}};
  return object.dump(-1, ' ', false, json::error_handler_t::replace);
}

WorkerFacts decode(const std::string& text) {
  const json object = json::parse(text);
  const auto words = [&](const char* key) { return object.at(key).get<std::string>(); };
  const auto number = [&](const char* key) { return object.at(key).get<int>(); };
  return {.placement = {.host = words("host"),
                        .machine = words("machine"),
                        .cores = object.at("cores").get<std::vector<int>>(),
                        .machine_cores = number("machine_cores"),
                        .threads = number("threads")},
          .links = {.within_host = words("within_host"),
                    .between_hosts = words("between_hosts"),
                    .carrier = words("carrier")}};
}

std::string plural(std::string_view what, std::size_t count) {
  return fmt::format("{}{}", what, count == 1 ? "" : "s");
}
std::string named(std::string_view what, const std::vector<int>& numbers) {
  return fmt::format("{} {}", plural(what, numbers.size()), as_ranges(numbers));
}

using Groups = std::vector<std::pair<std::string, Ranks>>;

// Ranks of which `key` is the same, in the order in which they first occur.
Groups group(const Ranks& ranks, const std::function<std::string(int)>& key) {
  Groups groups;
  for (const int rank : ranks) {
    const std::string mine = key(rank);
    const auto same = std::ranges::find(groups, mine, [](const auto& other) { return other.first; });
    if (same != groups.end()) {
      same->second.push_back(rank);
    } else {
      groups.emplace_back(mine, Ranks{rank});
    }
  }
  return groups;
}

class Reporter {
 public:
  explicit Reporter(std::span<const WorkerFacts> workers) : workers_(workers) {
    for (std::size_t rank = 0; rank < workers.size(); ++rank) all_.push_back(static_cast<int>(rank));
    by_host_ = group(all_, [&](int rank) { return of(rank).placement.host; });
  }

  // "host a: rank 0 bound to core 0; rank 1 bound to core 1"
  std::vector<std::string> hosts() const {
    std::vector<std::string> lines;
    if (all_.size() > 1) {
      lines.push_back(fmt::format("{} {} on {} {}", all_.size(), plural("worker", all_.size()),
                                  by_host_.size(), plural("host", by_host_.size())));
    }
    for (const auto& [host, ranks] : by_host_) {
      lines.push_back(fmt::format("host {}: {}", printable(host), cores_of(ranks)));
    }
    return lines;
  }

  // "messages: shared memory (vader) within a host, TCP between hosts; Open MPI v4.1.4, pml ob1"
  std::vector<std::string> messages() const {
    if (all_.size() == 1) return {};
    const Groups told = group(all_, [&](int rank) { return journey(of(rank).links); });
    if (told.size() == 1) return {"messages: " + told[0].first};
    std::vector<std::string> lines;
    for (const auto& [text, ranks] : told) {
      lines.push_back(fmt::format("messages of {}: {}", named("rank", ranks), text));
    }
    return lines;
  }

  std::vector<std::string> crowd_warnings() const {
    std::vector<Placement> placements;
    placements.reserve(workers_.size());
    for (const WorkerFacts& worker : workers_) placements.push_back(worker.placement);
    std::vector<std::string> lines;
    for (const Crowd& crowd : crowds(placements)) lines.push_back(warning(crowd));
    return lines;
  }

 private:
  const WorkerFacts& of(int rank) const { return workers_[static_cast<std::size_t>(rank)]; }

  std::string cores_of(const Ranks& ranks) const {
    const Groups bindings = group(ranks, [&](int rank) { return as_ranges(of(rank).placement.cores); });
    if (bindings.size() > most_groups) return summary(ranks, bindings.size());
    std::string text;
    for (const auto& [cores, alike] : bindings) {
      text += fmt::format("{}{} {}", text.empty() ? "" : "; ", named("rank", alike),
                          binding(of(alike[0]).placement));
    }
    return text;
  }

  static std::string binding(const Placement& place) {
    if (place.cores.empty()) return "on cores that this system does not tell";
    return fmt::format("{} {}", place.bound() ? "bound to" : "not bound, on", named("core", place.cores));
  }

  std::string summary(const Ranks& ranks, std::size_t bindings) const {
    const auto count = [&](int rank) { return of(rank).placement.cores.size(); };
    const auto [fewest, most] = std::ranges::minmax(ranks, {}, count);
    std::set<int> together;
    for (const int rank : ranks)
      together.insert(of(rank).placement.cores.begin(), of(rank).placement.cores.end());
    const std::string each = count(fewest) == count(most)
                                 ? fmt::format("{}", count(most))
                                 : fmt::format("{} to {}", count(fewest), count(most));
    return fmt::format("{} bound in {} ways to {} {} each, together {}", named("rank", ranks), bindings, each,
                       plural("core", count(most)),
                       as_ranges(std::vector<int>(together.begin(), together.end())));
  }

  // What this job does not need is left out.
  std::string journey(const Links& links) const {
    const bool some_share =
        std::ranges::any_of(by_host_, [](const auto& host) { return host.second.size() > 1; });
    std::string text;
    const auto add = [&](const std::string& way, std::string_view where) {
      if (!way.empty()) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", way, where);
    };
    if (some_share) add(links.within_host, "within a host");
    if (by_host_.size() > 1) add(links.between_hosts, "between hosts");
    if (text.empty()) text = "the transport does not tell how they travel";
    return links.carrier.empty() ? text : fmt::format("{}; {}", text, printable(links.carrier));
  }

  std::string warning(const Crowd& crowd) const {
    std::string who;
    for (const auto& [host, ranks] : group(crowd.ranks, [&](int rank) { return of(rank).placement.host; })) {
      who += fmt::format("{}{} on {}", who.empty() ? "" : " and ", named("rank", ranks), printable(host));
    }
    const bool one = crowd.ranks.size() == 1;
    return fmt::format(
        "{} {} {} with {} {}, which take turns: everybody waits for them. {}", who, one ? "has" : "share",
        named("core", crowd.cores), crowd.threads, plural("thread", static_cast<std::size_t>(crowd.threads)),
        crowd.fits ? "The machine has cores for all: bind each worker to cores of its own (mpirun "
                     "--bind-to core, srun --cpu-bind=cores), or none (--bind-to none)"
                   : "Start fewer workers or threads there");
  }

  std::span<const WorkerFacts> workers_;
  Ranks all_;
  Groups by_host_;
};

}  // namespace

LaunchReport launch_report(std::span<const WorkerFacts> workers, const BatchConfig& batch) {
  const Reporter reporter(workers);
  LaunchReport report{.lines = reporter.hosts(), .warnings = reporter.crowd_warnings()};
  for (std::string& line : reporter.messages()) report.lines.push_back(std::move(line));

  std::vector<int> threads;
  threads.reserve(workers.size());
  for (const WorkerFacts& worker : workers) threads.push_back(worker.placement.threads);
  if (threads.size() > 1 || threads[0] > 1) {
    report.lines.push_back(Division(batch.shards, threads).in_words(batch.global));
  }
  return report;
}

void report_launch(Communicator& comm, const Config& config) {
  std::vector<WorkerFacts> workers;
  workers.reserve(static_cast<std::size_t>(comm.size()));
  for (const std::string& text :
       gather_texts(comm, "placements", encode({own_placement(config.threads), comm.links()}))) {
    workers.push_back(decode(text));
  }
  if (comm.rank() != 0) return;
  const LaunchReport report = launch_report(workers, config.batch);
  for (const std::string& line : report.lines) spdlog::info("{}", line);
  for (const std::string& line : report.warnings) spdlog::warn("{}", line);
}

}  // namespace lockstep
