#include "layers/model/program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "comm/base/error.h"
#include "layers/model/memory_map.h"
#include "tests/unit/model/steps.h"

namespace lockstep::testing {
namespace {

using ::testing::HasSubstr;

Graph resnet20() {
  return build_graph({.name = "resnet20", .layers = {}}, {32, 32, 3}, 10, 1);
}

int exchanges(const Program& program) {
  return static_cast<int>(
      std::ranges::count_if(program.segments, [](const Segment& it) { return it.norm >= 0; }));
}

TEST(Program, MeetsTwiceABatchNormInTrainingAndNeverInInference) {
  const Graph graph = resnet20();
  EXPECT_EQ(exchanges(make_program(graph, {})), 2 * 21);
  const Program inference = make_program(graph, {.backward = false, .fixed_statistics = true});
  EXPECT_EQ(exchanges(inference), 0);
  EXPECT_EQ(inference.segments.size(), 1U);
}

TEST(Program, WithFixedStatisticsBackwardMeetsNothingButStillFoldsPieceByPiece) {
  const Graph graph = resnet20();
  const Program frozen = make_program(graph, {.fixed_statistics = true});
  EXPECT_EQ(exchanges(frozen), 0);
  EXPECT_EQ(frozen.segments.size(), 21U + 1U);
}

TEST(Program, ForwardAloneMeetsOnceABatchNorm) {
  EXPECT_EQ(exchanges(make_program(resnet20(), {.backward = false})), 21);
}

TEST(Program, JoinsAddAndReluToTheBatchNormBeforeThem) {
  const Graph graph = resnet20();  // programs point into it
  const Program joined = make_program(graph, {.fuse = true});
  EXPECT_EQ(std::ranges::count_if(joined.ops, [](const PlanOp& op) { return op.residual && op.relu; }), 9);
  EXPECT_EQ(std::ranges::count_if(joined.ops, [](const PlanOp& op) { return !op.residual && op.relu; }), 10);
  EXPECT_TRUE(std::ranges::none_of(joined.ops,
                                   [](const PlanOp& op) { return op.layer->kind() == Layer::Kind::relu; }));
  const Program apart = make_program(graph, {.fuse = false});
  EXPECT_TRUE(std::ranges::none_of(apart.ops, [](const PlanOp& op) { return op.residual || op.relu; }));
}

// Bytes a sample that live over a synchronization point.
std::size_t kept_bytes(const Program& program) {
  std::size_t bytes = 0;
  for (const Item& item : program.items) {
    if (item.crosses) bytes += static_cast<std::size_t>(item.elements) * size_of(item.element);
  }
  return bytes;
}

TEST(Program, RecomputationKeepsLess) {
  const Graph graph = resnet20();
  EXPECT_LT(kept_bytes(make_program(graph, {.recompute = true})),
            kept_bytes(make_program(graph, {.recompute = false})));
}

// Images come, and the loss takes logits and gives their gradient, in fp32.
TEST(Program, InBf16ConvertsWhereItMeetsTheWorldAndKeepsHalf) {
  const Graph graph = resnet20();
  for (const bool recompute : {true, false}) {
    const Program program = make_program(graph, {.recompute = recompute, .element = Element::bf16});
    std::vector<std::int64_t> converted;
    for (const Action& action : program.actions) {
      if (action.kind != Action::Kind::convert) continue;
      converted.push_back(program.items[static_cast<std::size_t>(action.output)].elements);
    }
    std::vector<std::int64_t> expected{32 * 32 * 3, 10, 10};
    if (recompute) expected.push_back(32 * 32 * 3);  // of which the first convolution's backward reads
    EXPECT_EQ(converted, expected);
    const std::size_t images = recompute ? 0 : 32 * 32 * 3 * sizeof(Bf16);
    EXPECT_EQ(kept_bytes(program) - images, kept_bytes(make_program(graph, {.recompute = recompute})) / 2);
  }
  EXPECT_TRUE(std::ranges::none_of(make_program(graph, {}).actions, [](const Action& action) {
    return action.kind == Action::Kind::convert;
  }));
}

TEST(Program, NeverReadsATensorOutsideItsLifetime) {
  const Graph graph = resnet20();
  for (const Element element : {Element::f32, Element::bf16}) {
    for (const bool recompute : {true, false}) {
      for (const bool fuse : {true, false}) {
        const Program program =
            make_program(graph, {.fuse = fuse, .recompute = recompute, .element = element});
        for (int number = 0; number < static_cast<int>(program.actions.size()); ++number) {
          const Action& action = program.actions[static_cast<std::size_t>(number)];
          for (const int item : {action.inputs[0], action.inputs[1], action.output, action.output_gradient,
                                 action.input_gradients[0], action.input_gradients[1], action.saved}) {
            if (item < 0) continue;
            EXPECT_LE(program.items[static_cast<std::size_t>(item)].first, number);
            EXPECT_GE(program.items[static_cast<std::size_t>(item)].last, number);
          }
        }
      }
    }
  }
}

LayerSpec convolution(std::string name) {
  return {.name = std::move(name), .layer = Conv2dSpec{.out = 4, .padding = 1}};
}

// Blocks whose sums may and may not lie where their residual lay: it is the images, is read by an outer block
// too, is what the layer itself reads, is nobody else's.
Graph blocks() {
  const LayerSpec inner{"inner", ResidualSpec{.body = {convolution("a"), convolution("b")}, .shortcut = {}}};
  const LayerSpec relu{"relu", ReluSpec{}};
  return build_graph(
      {.name = "",
       .layers = {{"images", ResidualSpec{.body = {convolution("a"), convolution("b")}, .shortcut = {}}},
                  relu,
                  {"outer", ResidualSpec{.body = {inner, convolution("c")}, .shortcut = {}}},
                  {"itself", ResidualSpec{.body = {convolution("a")}, .shortcut = {}}},
                  {"last", inner.layer},
                  relu,
                  {"pool", GlobalAvgPoolSpec{}}}},
      {6, 6, 4}, 4, 1);
}

std::map<std::string, bool> sums_in_place(const Program& program) {
  std::map<std::string, bool> in_place;
  for (const Action& action : program.actions) {
    if (action.op < 0 || !program.ops[static_cast<std::size_t>(action.op)].residual) continue;
    in_place[program.ops[static_cast<std::size_t>(action.op)].layer->name()] =
        action.output == action.inputs[1];
  }
  return in_place;
}

constexpr ProgramOptions deployed{.backward = false, .fixed_statistics = true, .deployed = true};

TEST(Program, DeployedJoinsAddAndReluToConvolutionsToo) {
  const Graph graph = blocks();
  const Program joined = make_program(graph, deployed);
  EXPECT_EQ(joined.ops.size(), 9U);  // eight convolutions and the pooling
  EXPECT_EQ(std::ranges::count_if(joined.ops, [](const PlanOp& op) { return op.relu; }), 2);
  const Program apart = make_program(graph, {.backward = false, .fixed_statistics = true});
  EXPECT_EQ(apart.ops.size(), graph.nodes.size());
}

TEST(Program, DeployedAddsInPlaceWhereNobodyReadsTheResidualAnyMore) {
  const Graph graph = blocks();
  EXPECT_EQ(sums_in_place(make_program(graph, deployed)),
            (std::map<std::string, bool>{{"images.b", false},
                                         {"outer.inner.b", false},
                                         {"outer.c", true},
                                         {"itself.a", false},
                                         {"last.b", true}}));
}

TEST(MemoryMap, SharesPlacesOnlyBetweenLifetimesThatDoNotMeet) {
  std::vector<Lifetime> lifetimes;
  const Random random(3, "lifetimes");
  for (std::uint64_t i = 0; i < 200; ++i) {
    const int first = static_cast<int>(random.below(50, i, 0));
    lifetimes.push_back({.bytes = random.below(1000, i, 1),
                         .first = first,
                         .last = first + static_cast<int>(random.below(10, i, 2))});
  }
  const MemoryMap map = place(lifetimes);
  std::size_t sum = 0;
  for (std::size_t a = 0; a < lifetimes.size(); ++a) {
    sum += aligned(lifetimes[a].bytes);
    EXPECT_EQ(map.offsets[a] % alignment, 0U);
    EXPECT_LE(map.offsets[a] + lifetimes[a].bytes, map.bytes);
    for (std::size_t b = 0; b < a; ++b) {
      const bool in_time = lifetimes[a].first <= lifetimes[b].last && lifetimes[b].first <= lifetimes[a].last;
      const bool in_memory = map.offsets[a] < map.offsets[b] + lifetimes[b].bytes &&
                             map.offsets[b] < map.offsets[a] + lifetimes[a].bytes;
      EXPECT_FALSE(in_time && in_memory) << a << " and " << b;
    }
  }
  EXPECT_LT(map.bytes, sum / 2);
}

std::string message_of(const ModelSpec& spec, SampleShape images = {28, 28, 1}) {
  try {
    build_graph(spec, images, 10, 1);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "nothing was wrong";
}

// A short list of layers whose sizes and their products are beyond every memory, or beyond 64 bits.
TEST(Graph, RefusesSizesThatNoMemoryHolds) {
  const LayerSpec wide{.name = "wide",
                       .layer = Conv2dSpec{.out = 1'000'000, .kernel = 1, .padding = 1'000'000}};
  EXPECT_THAT(message_of({.name = "", .layers = {wide}}),
              HasSubstr("layer 'wide' (conv2d) makes 2000028x2000028x1000000"));
  const LayerSpec large{.name = "large",
                        .layer = Conv2dSpec{.out = 1'000'000, .kernel = 1'000'000, .padding = 500'000}};
  EXPECT_THAT(message_of({.name = "", .layers = {large, large}}),
              HasSubstr("layer 'large': its weight of shape [1000000, 1, 1000000, 1000000]"));
  EXPECT_THAT(message_of({.name = "", .layers = {large}}, {1'000'000, 1'000'000, 1'000'000}),
              HasSubstr("the data set makes 1000000x1000000x1000000"));
  // Each fits by itself.
  const LayerSpec padded{.name = "padded", .layer = Conv2dSpec{.out = 1, .kernel = 1, .padding = 100'000}};
  const std::vector<LayerSpec> twice{padded, LayerSpec{.name = "again", .layer = ReluSpec{}}};
  EXPECT_THAT(message_of({.name = "", .layers = twice}), HasSubstr("layer 'again' (relu)"));
}

TEST(Graph, NamesLayersAsTorchvisionDoes) {
  std::vector<std::string> names;
  for (const Node& node : resnet20().nodes) {
    for (const Parameter& parameter : node.layer->parameters()) names.push_back(parameter.name);
  }
  for (const char* name :
       {"conv1.weight", "bn1.bias", "layer1.0.conv1.weight", "layer2.0.downsample.0.weight",
        "layer3.0.downsample.1.weight", "layer3.2.bn2.weight", "fc.weight", "fc.bias"}) {
    EXPECT_EQ(std::ranges::count(names, name), 1) << name;
  }
  EXPECT_EQ(names.size(), 3U * 21 + 2);
}

TEST(Graph, SaysWhichLayerDoesNotFitAndBothShapes) {
  EXPECT_EQ(message_of({.name = "", .layers = {{"fc", LinearSpec{.out = 10}}}}),
            "layer 'fc' (linear) takes vectors (1x1xN), its input is 28x28x1; put flatten or global_avg_pool "
            "before it");
  EXPECT_EQ(message_of({.name = "", .layers = {{"flatten", FlattenSpec{}}, {"fc", LinearSpec{.out = 7}}}}),
            "layer 'fc' (linear) ends the network with 7; the data set's 10 classes need 10");
  EXPECT_EQ(message_of({.name = "", .layers = {{"conv1", Conv2dSpec{.out = 4, .kernel = 31}}}}),
            "layer 'conv1' (conv2d): a 31x31 window does not fit into its input 28x28x1 with padding 0");
  EXPECT_EQ(
      message_of({.name = "",
                  .layers = {{"block", ResidualSpec{.body = {{"conv1", Conv2dSpec{.out = 4, .kernel = 1}}},
                                                    .shortcut = {}}}}}),
      "layer 'block' (residual): its body ends in 28x28x4, its shortcut in 28x28x1; both must be the same");
  EXPECT_NE(message_of({.name = "", .layers = {{"conv1", Conv2dSpec{.out = 4, .kernel = 1, .groups = 3}}}})
                .find("groups: 3"),
            std::string::npos);
  EXPECT_NE(
      message_of({.name = "vgg", .layers = {}}).find("mlp, cnn, resnet20, resnet18, resnet34, resnet50"),
      std::string::npos);
}

}  // namespace
}  // namespace lockstep::testing
