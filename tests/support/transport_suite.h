#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <ostream>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "comm/communicator.h"
#include "comm/gradients/reducer.h"
#include "comm/tree/exchange.h"
#include "tests/support/random_values.h"
#include "tests/support/reference_tree.h"

// What every transport must do, whatever carries it. A behaviour is run by all workers of a job at once, each
// with its communicator. Every worker rebuilds what all of them send, so what it must receive is known to it.
namespace lockstep::test {

struct Behaviour {
  std::string name;
  void (*check)(Communicator&);
};

// GoogleTest looks for this name.
inline void PrintTo(const Behaviour& behaviour, std::ostream* out) {  // NOLINT(readability-identifier-naming)
  *out << behaviour.name;
}

namespace suite {

inline constexpr std::array<std::size_t, 4> counts = {0, 1, 7, 100'003};

// What `rank` sends in `round`: exact in an integer.
inline std::vector<std::int32_t> message(int rank, int round, std::size_t count) {
  std::vector<std::int32_t> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = static_cast<std::int32_t>(i) * 31 + rank * 1'000'003 + round * 101;
  }
  return values;
}

template <class T>
std::span<const T> view(const std::vector<T>& values) {
  return values;
}

inline void broadcast_reaches_everyone_from_any_root(Communicator& comm) {
  for (int root = 0; root < comm.size(); ++root) {
    for (const std::size_t count : counts) {
      auto data = comm.rank() == root ? message(root, 0, count) : std::vector<std::int32_t>(count);
      comm.broadcast(Lane::statistics, "data", std::span(data), root).wait();
      EXPECT_TRUE(same_bits(data, message(root, 0, count))) << "root " << root << ", " << count;
    }
  }
}

inline void gather(Communicator& comm, const std::vector<std::size_t>& sizes) {
  std::vector<std::int32_t> expected;
  for (int rank = 0; rank < comm.size(); ++rank) {
    const auto part = message(rank, 1, sizes[static_cast<std::size_t>(rank)]);
    expected.insert(expected.end(), part.begin(), part.end());
  }
  const auto mine = message(comm.rank(), 1, sizes[static_cast<std::size_t>(comm.rank())]);
  std::vector<std::int32_t> all(expected.size(), -1);
  comm.all_gather(Lane::gather, "all", view(mine), std::span(all), sizes).wait();
  EXPECT_TRUE(same_bits(all, expected)) << expected.size() << " elements";
}

inline void all_gather_brings_everyone_the_same(Communicator& comm) {
  for (const std::size_t count : counts) {
    gather(comm, std::vector<std::size_t>(static_cast<std::size_t>(comm.size()), count));
  }
}

inline void all_gather_takes_counts_that_differ(Communicator& comm) {
  for (std::size_t shift = 0; shift < counts.size(); ++shift) {
    std::vector<std::size_t> sizes(static_cast<std::size_t>(comm.size()));
    for (std::size_t rank = 0; rank < sizes.size(); ++rank)
      sizes[rank] = counts[(rank + shift) % counts.size()];
    gather(comm, sizes);
  }
}

inline void all_to_all_delivers_each_piece(Communicator& comm) {
  const auto size = static_cast<std::size_t>(comm.size());
  const auto length = [](std::size_t from, std::size_t to, std::size_t unit) {
    return (from * 3 + to * 5) % 4 * unit;
  };
  const auto me = static_cast<std::size_t>(comm.rank());
  for (const std::size_t unit : {std::size_t{0}, std::size_t{1}, std::size_t{20'001}}) {
    std::vector<std::size_t> send_counts;
    std::vector<std::size_t> receive_counts;
    std::vector<std::int32_t> send;
    std::vector<std::int32_t> expected;
    for (std::size_t other = 0; other < size; ++other) {
      send_counts.push_back(length(me, other, unit));
      receive_counts.push_back(length(other, me, unit));
      const auto out = message(comm.rank(), static_cast<int>(other), send_counts.back());
      const auto in = message(static_cast<int>(other), comm.rank(), receive_counts.back());
      send.insert(send.end(), out.begin(), out.end());
      expected.insert(expected.end(), in.begin(), in.end());
    }
    std::vector<std::int32_t> receive(expected.size(), -1);
    comm.all_to_all(Lane::scatter, "pieces", view(send), send_counts, std::span(receive), receive_counts)
        .wait();
    EXPECT_TRUE(same_bits(receive, expected)) << "unit " << unit;
  }
}

// Each worker sends to those before it, by as many elements as its rank, and nothing to rank 0.
inline void exchange_reaches_some(Communicator& comm) {
  for (const std::size_t unit : {std::size_t{0}, std::size_t{1}, std::size_t{20'001}}) {
    const auto data = message(comm.rank(), 7, unit * static_cast<std::size_t>(comm.rank()));
    std::vector<Outgoing<std::int32_t>> out;
    for (int to = 1; to < comm.rank(); ++to) out.push_back({to, data});
    std::vector<std::vector<std::int32_t>> received(static_cast<std::size_t>(comm.size()));
    std::vector<Incoming<std::int32_t>> in;
    for (int from = comm.rank() + 1; comm.rank() > 0 && from < comm.size(); ++from) {
      auto& into = received[static_cast<std::size_t>(from)];
      into.assign(unit * static_cast<std::size_t>(from), -1);
      in.push_back({from, into});
    }
    comm.exchange(Lane::scatter, "some", out, in).wait();
    for (const auto& it : in) {
      const auto expected = message(it.from, 7, it.into.size());
      EXPECT_TRUE(same_bits(std::span<const std::int32_t>(it.into), view(expected)))
          << it.from << ", unit " << unit;
    }
  }
  comm.barrier(Lane::scatter, "still usable").wait();
}

inline void sums_of_integers_are_exact(Communicator& comm) {
  const std::vector<std::size_t> one_each(static_cast<std::size_t>(comm.size()), 1);
  const std::vector<double> mine = {static_cast<double>(comm.rank() + 1)};
  std::vector<double> all(one_each.size());
  comm.all_gather(Lane::statistics, "addends", view(mine), std::span(all), one_each).wait();
  double sum = 0;
  for (const double value : all) sum += value;
  EXPECT_EQ(sum, comm.size() * (comm.size() + 1) / 2);
}

inline void barriers_can_be_repeated(Communicator& comm) {
  for (int round = 0; round < 20; ++round) comm.barrier(Lane::statistics, "all here").wait();
}

inline void many_collectives_may_be_under_way_on_a_lane(Communicator& comm) {
  constexpr int rounds = 12;
  const std::vector<std::size_t> sizes(static_cast<std::size_t>(comm.size()), 501);
  std::vector<std::vector<std::int32_t>> mine(rounds);
  std::vector<std::vector<std::int32_t>> all(rounds, std::vector<std::int32_t>(sizes.size() * 501));
  std::vector<Pending> pending;
  for (std::size_t round = 0; round < rounds; ++round) {
    mine[round] = message(comm.rank(), static_cast<int>(round), 501);
    pending.push_back(
        comm.all_gather(Lane::gather, "round", view(mine[round]), std::span(all[round]), sizes));
  }
  for (std::size_t round = rounds; round-- > 0;) {
    pending[round].wait();
    for (int rank = 0; rank < comm.size(); ++rank) {
      EXPECT_TRUE(same_bits(
          std::span<const std::int32_t>(all[round]).subspan(static_cast<std::size_t>(rank) * 501, 501),
          view(message(rank, static_cast<int>(round), 501))));
    }
  }
}

inline void lanes_do_not_wait_for_each_other(Communicator& comm) {
  // Workers start the two lanes in different orders and finish the one that they started last first.
  const bool even = comm.rank() % 2 == 0;
  const Lane first = even ? Lane::scatter : Lane::gather;
  const Lane second = even ? Lane::gather : Lane::scatter;
  for (int round = 0; round < 5; ++round) {
    Pending earlier = comm.barrier(first, "a lane");
    Pending later = comm.barrier(second, "a lane");
    later.wait();
    earlier.wait();
  }
}

// Scatters and gathers, as many of each, in an order of each worker's own.
inline void lanes_may_be_started_in_orders_that_differ(Communicator& comm) {
  Random random(static_cast<std::uint64_t>(40 + comm.rank()));
  constexpr std::size_t each = 40;
  const std::vector<std::size_t> sizes(static_cast<std::size_t>(comm.size()), 3);
  struct Going {
    Lane lane;
    std::vector<std::int32_t> mine, all;
    Pending pending{};
  };
  const auto what = [](Lane lane, int rank, std::size_t number) {
    return message(rank, static_cast<int>(2 * number) + (lane == Lane::gather ? 1 : 0), 3);
  };
  std::vector<Going> scatters, gathers;
  scatters.reserve(each);
  gathers.reserve(each);
  while (scatters.size() < each || gathers.size() < each) {
    const bool scatter = gathers.size() == each || (scatters.size() < each && random.integer(0, 1) == 0);
    std::vector<Going>& lane = scatter ? scatters : gathers;
    Going& going = lane.emplace_back(Going{scatter ? Lane::scatter : Lane::gather, {}, {}});
    going.mine = what(going.lane, comm.rank(), lane.size() - 1);
    going.all.resize(sizes.size() * 3);
    going.pending = comm.all_gather(going.lane, "of a lane", view(going.mine), std::span(going.all), sizes);
    if (random.integer(0, 3) == 0) (void)lane[lane.size() / 2].pending.test();
  }
  for (std::vector<Going>* lane : {&scatters, &gathers}) {
    for (std::size_t number = 0; number < each; ++number) {
      Going& going = (*lane)[number];
      going.pending.wait();
      for (std::size_t rank = 0; rank < sizes.size(); ++rank) {
        EXPECT_TRUE(same_bits(std::span<const std::int32_t>(going.all).subspan(rank * 3, 3),
                              view(what(going.lane, static_cast<int>(rank), number))))
            << name_of(going.lane) << " " << number << ", from rank " << rank;
      }
    }
  }
}

// Every other worker has started the gather before; those behind it have yet to.
inline void no_scatter_waits_for_a_gather_that_somebody_has_yet_to_start(Communicator& comm) {
  const std::vector<std::size_t> sizes(static_cast<std::size_t>(comm.size()), 5);
  const auto mine = message(comm.rank(), 0, 5);
  std::vector<std::int32_t> gathered(5 * sizes.size());
  std::vector<std::int32_t> scattered(gathered.size());
  const auto gather = [&] {
    return comm.all_gather(Lane::gather, "sums", view(mine), std::span(gathered), sizes);
  };
  Pending early = comm.rank() % 2 == 0 ? gather() : Pending();
  comm.all_gather(Lane::scatter, "sent", view(mine), std::span(scattered), sizes).wait();
  (early.active() ? std::move(early) : gather()).wait();
  EXPECT_TRUE(same_bits(gathered, scattered));
}

inline void a_moved_pending_finishes_what_it_took_over(Communicator& comm) {
  auto data = message(comm.rank(), 0, 1'000);
  Pending first = comm.broadcast(Lane::statistics, "moved", std::span(data), 0);
  Pending second(std::move(first));
  EXPECT_FALSE(first.active());  // NOLINT(bugprone-use-after-move): that is the question
  EXPECT_TRUE(first.test());
  Pending third;
  EXPECT_FALSE(third.active());
  third = std::move(second);
  third.wait();
  EXPECT_FALSE(third.active());
  EXPECT_TRUE(third.test());
  EXPECT_TRUE(same_bits(data, message(0, 0, 1'000)));
}

inline void polling_alone_finishes(Communicator& comm) {
  auto data = message(comm.rank(), 0, 100'003);
  Pending pending = comm.broadcast(Lane::scatter, "polled", std::span(data), comm.size() - 1);
  while (!pending.test()) {
  }
  EXPECT_TRUE(same_bits(data, message(comm.size() - 1, 0, 100'003)));
}

inline void arguments_that_do_not_fit_are_refused_by_name(Communicator& comm) {
  const auto size = static_cast<std::size_t>(comm.size());
  const std::vector<std::size_t> ones(size, 1);
  const std::vector<std::size_t> too_few(size - 1, 1);
  const std::vector<int> mine(1);
  std::vector<int> all(size);
  const auto refused = [](const auto& call) {
    try {
      (void)call();
    } catch (const std::logic_error& error) {
      return std::string(error.what()).find("'odd'") != std::string::npos;
    }
    return false;
  };
  const std::vector<int> two(2);
  EXPECT_TRUE(refused([&] { return comm.all_gather(Lane::gather, "odd", view(two), std::span(all), ones); }));
  EXPECT_TRUE(refused([&] {
    return comm.all_gather(Lane::gather, "odd", view(mine), std::span(all).first(size - 1), ones);
  }));
  EXPECT_TRUE(
      refused([&] { return comm.all_gather(Lane::gather, "odd", view(mine), std::span(all), too_few); }));
  EXPECT_TRUE(refused([&] { return comm.broadcast(Lane::gather, "odd", std::span(all), comm.size()); }));
  EXPECT_TRUE(refused(
      [&] { return comm.all_to_all(Lane::gather, "odd", view(mine), too_few, std::span(all), ones); }));
  const auto exchange = [&](int to, int from) {
    return comm.exchange<int>(Lane::gather, "odd", {{to, mine}}, {{from, std::span(all)}});
  };
  EXPECT_TRUE(refused([&] { return exchange(comm.rank(), 0); }));
  EXPECT_TRUE(refused([&] { return exchange(comm.size(), 0); }));
  EXPECT_TRUE(refused([&] { return exchange((comm.rank() + 1) % comm.size(), comm.rank()); }));
  comm.barrier(Lane::gather, "still usable").wait();
}

// Random layouts, batches and groups: the exchange answers, bit for bit, what one worker gets that folds all
// leaves along the tree as it is defined.
inline void tree_exchange_gives_the_bits_of_one_worker(Communicator& comm) {
  Random random(20);
  for (int trial = 0; trial < 60; ++trial) {
    // In every third trial all workers' blocks are nodes alike, and they meet in rounds where they are many.
    const bool in_rounds = trial % 3 == 0;
    const std::int64_t shards = in_rounds ? comm.size() << random.integer(0, 2) : random.integer(1, 19);
    const std::int64_t batch = random.integer(1, 40);
    const std::int64_t group = in_rounds ? shards : random.integer(1, shards);
    const int most_at_once = in_rounds ? 2 : 8;
    const bool all_groups = random.integer(0, 1) == 1;
    const auto channels = static_cast<std::size_t>(random.integer(0, 5));
    const std::size_t width = 2 * channels;
    std::vector<std::vector<double>> leaves;
    for (std::int64_t shard = 0; shard < shards; ++shard) leaves.push_back(random.values<double>(width));

    const ShardLayout layout(shards, comm.size(), comm.rank());
    const std::int64_t present = layout.present(batch);
    const auto samples = [&](Range node) {
      return layout.samples(batch, node.end - 1).end - layout.samples(batch, node.begin).begin;
    };
    const Combine combine = trial % 2 == 0 ? sum_of(width) : moments_of(channels, samples);

    TreeExchange exchange(layout, group, most_at_once);
    std::vector<double> own;
    for (std::int64_t shard = layout.block().begin; shard < layout.block().end; ++shard) {
      const auto& leaf = leaves[static_cast<std::size_t>(shard)];
      own.insert(own.end(), leaf.begin(), leaf.end());
    }
    const Range wanted = all_groups ? Range{0, exchange.groups()} : exchange.own_groups();
    std::vector<double> results(static_cast<std::size_t>(wanted.size()) * width, -7.0);
    exchange.run(comm, "values", present, width, own, combine, results, all_groups);

    for (std::int64_t index = wanted.begin; index < wanted.end; ++index) {
      const Range node = exchange.group(index);
      const auto expected = reference_fold(
          node.begin, node.end, present, leaves,
          [&](Range left_node, std::vector<double> left, Range right_node, const std::vector<double>& right) {
            combine(left_node, left.data(), right_node, right.data());
            return left;
          });
      const auto got = view(results).subspan(static_cast<std::size_t>(index - wanted.begin) * width, width);
      EXPECT_TRUE(same_bits(got, view(expected.value_or(std::vector<double>(width, -7.0)))))
          << "trial " << trial << ": " << shards << " shards, batch " << batch << ", groups of " << group
          << ", group " << index;
    }
  }
}

inline std::vector<Range> random_tensors(Random& random) {
  std::vector<Range> tensors;
  std::int64_t end = 0;
  for (std::int64_t left = random.integer(0, 12); left > 0; --left) {
    const std::int64_t begin = end;
    end += random.integer(0, 3) == 0 ? random.integer(0, 3) : random.integer(1, 1'500);
    tensors.push_back({begin, end});
  }
  return tensors;
}

// One step of the reducer, with gradients of `leaves` (a vector a shard).
inline void reduce_step(GradientReducer& reducer, std::int64_t present, bool in_place, std::size_t tensors,
                        const std::vector<std::vector<float>>& leaves) {
  const std::size_t elements = leaves[0].size();
  std::vector<std::vector<float>> arenas;
  for (const Range node : reducer.nodes()) {
    arenas.push_back(reference_sum(node.begin, node.end, present, leaves)
                         .value_or(std::vector<float>(elements, std::nanf(""))));
  }
  std::vector<float*> pointers(arenas.size());
  std::ranges::transform(arenas, pointers.begin(), [](auto& arena) { return arena.data(); });
  std::vector<float> separate(elements, -7.0F);
  const bool shares = in_place && !arenas.empty();
  std::vector<float>& out = shares ? arenas[0] : separate;

  reducer.begin(pointers, out.data(), present);
  for (std::size_t index = 0; index < tensors; ++index) {
    reducer.ready(index);
    reducer.progress();
  }
  reducer.finish();
  const auto expected = reference_sum(0, static_cast<std::int64_t>(leaves.size()), present, leaves);
  EXPECT_TRUE(same_bits(out, *expected)) << leaves.size() << " shards, " << present << " present";
}

inline void reducer_gives_the_bits_of_one_worker(Communicator& comm) {
  Random random(30);
  for (int trial = 0; trial < 24; ++trial) {
    const bool in_rounds = trial % 2 == 0;
    const std::int64_t shards = in_rounds ? comm.size() << random.integer(0, 2) : random.integer(1, 13);
    const std::vector<Range> tensors = random_tensors(random);
    const auto elements = static_cast<std::size_t>(tensors.empty() ? 0 : tensors.back().end);
    GradientReducer::Options options;
    options.bucket_bytes =
        std::array<std::size_t, 3>{400, 6'000, 4 << 20}[static_cast<std::size_t>(random.integer(0, 2))];
    options.small_bytes =
        std::array<std::size_t, 3>{0, 2'000, 1 << 20}[static_cast<std::size_t>(random.integer(0, 2))];
    options.overlap = random.integer(0, 3) != 0;
    options.window = std::array<std::size_t, 3>{1, 2, 1'000}[static_cast<std::size_t>(random.integer(0, 2))];
    if (in_rounds) options.most_at_once = trial % 4 == 0 ? 2 : 4;
    GradientReducer reducer(comm, ShardLayout(shards, comm.size(), comm.rank()), tensors, options);
    for (int step = 0; step < 3; ++step) {
      const std::int64_t present = step == 0 ? shards : random.integer(1, shards);
      std::vector<std::vector<float>> leaves;
      for (std::int64_t shard = 0; shard < shards; ++shard) leaves.push_back(random.values<float>(elements));
      SCOPED_TRACE("trial " + std::to_string(trial) + ", step " + std::to_string(step));
      reduce_step(reducer, present, step != 1, tensors.size(), leaves);
    }
  }
}

}  // namespace suite

inline std::vector<Behaviour> transport_behaviours() {
  return {
      {"broadcast_reaches_everyone_from_any_root", suite::broadcast_reaches_everyone_from_any_root},
      {"all_gather_brings_everyone_the_same", suite::all_gather_brings_everyone_the_same},
      {"all_gather_takes_counts_that_differ", suite::all_gather_takes_counts_that_differ},
      {"all_to_all_delivers_each_piece", suite::all_to_all_delivers_each_piece},
      {"exchange_reaches_some", suite::exchange_reaches_some},
      {"sums_of_integers_are_exact", suite::sums_of_integers_are_exact},
      {"barriers_can_be_repeated", suite::barriers_can_be_repeated},
      {"many_collectives_may_be_under_way_on_a_lane", suite::many_collectives_may_be_under_way_on_a_lane},
      {"lanes_do_not_wait_for_each_other", suite::lanes_do_not_wait_for_each_other},
      {"lanes_may_be_started_in_orders_that_differ", suite::lanes_may_be_started_in_orders_that_differ},
      {"no_scatter_waits_for_a_gather_that_somebody_has_yet_to_start",
       suite::no_scatter_waits_for_a_gather_that_somebody_has_yet_to_start},
      {"a_moved_pending_finishes_what_it_took_over", suite::a_moved_pending_finishes_what_it_took_over},
      {"polling_alone_finishes", suite::polling_alone_finishes},
      {"arguments_that_do_not_fit_are_refused_by_name", suite::arguments_that_do_not_fit_are_refused_by_name},
      {"tree_exchange_gives_the_bits_of_one_worker", suite::tree_exchange_gives_the_bits_of_one_worker},
      {"reducer_gives_the_bits_of_one_worker", suite::reducer_gives_the_bits_of_one_worker},
  };
}

}  // namespace lockstep::test
