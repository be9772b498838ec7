#pragma once

#include <span>
#include <string>
#include <string_view>

// Words that a person typed, compared with words that would have been right.
namespace lockstep {

// Edits (insert, delete, replace, swap of neighbours) that turn one word into the other. Of each, the first
// 64 characters are compared.
std::size_t edit_distance(std::string_view one, std::string_view other);

// The same, but the begin of a word counts as near to it: "synth" is one edit from "synthetic".
std::size_t typing_distance(std::string_view typed, std::string_view word);

// The candidate that is nearest to what was typed; of equals the first. `candidates` is not empty.
std::string nearest(std::string_view typed, std::span<const std::string> candidates);

// 'word' in quotes as a message shows it: long words are cut, control characters become '?'.
std::string in_quotes(std::string_view word);

// "a, b, c".
std::string listed(std::span<const std::string> words);

}  // namespace lockstep
