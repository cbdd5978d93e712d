// SPDX-License-Identifier: BSL-1.0

// temper_pictures: draws a picture of each technique on the pages on mixing, noisy labels and
// semi-supervised learning, from values that the library computes.
//
//   temper_pictures --out docs/images

#include <cstdio>
#include <filesystem>
#include <string>

#include <CLI/CLI.hpp>

#include "pictures/pictures.hpp"
#include "support/program.hpp"

namespace {

int run(int argc, char** argv)
{
    std::string out;
    std::string data = TEMPER_EXAMPLE_DATA;
    CLI::App app{"What each technique does, as pictures"};
    app.add_option("--out", out, "write SVG files into this folder")->required();
    app.add_option("--data", data, "folder of digits.csv")->capture_default_str();
    CLI11_PARSE(app, argc, argv);

    pictures::Album album;
    const support::LabelledData digits = support::load_digits(data);
    pictures::mixing(digits, album);
    pictures::label_noise(album);
    pictures::sample_weights(digits, album);
    pictures::semi_supervised(digits, album);

    std::filesystem::create_directories(out);
    for (const auto& [name, picture] : album)
        support::write_svg(std::filesystem::path(out) / (name + ".svg"), picture);
    std::printf("%zu pictures\n", album.size());
    return 0;
}

} // namespace

int main(int argc, char** argv) { return support::program("temper_pictures", run, argc, argv); }
