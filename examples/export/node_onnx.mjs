// Tokens of an image with onnxruntime-web (the same calls in a browser and in Node), no Python:
//   vqkit export runs/photos --out graphs
//   npm install onnxruntime-web
//   node node_onnx.mjs graphs HEIGHT WIDTH < pixels.rgb > back.rgb   (8-bit pixels, rows of RGB or grey)
import { readFileSync } from "node:fs";
import * as ort from "onnxruntime-web";

const [folder, height, width] = [process.argv[2], +process.argv[3], +process.argv[4]];
const said = JSON.parse(readFileSync(`${folder}/export.json`));
const open = (graph) => ort.InferenceSession.create(readFileSync(`${folder}/${said.graphs[graph].file}`));
ort.env.wasm.numThreads = 1;
const channels = said.signal.channels;
const bytes = readFileSync(0);
const pixels = new Float32Array(bytes.length); // channels first, in [0, 1]
for (let at = 0; at < bytes.length; at++) {
  pixels[(at % channels) * height * width + Math.floor(at / channels)] = bytes[at] / 255;
}
const signals = new ort.Tensor("float32", pixels, [1, channels, height, width]);
const { indices } = await (await open("encoder")).run({ signals });
console.error(JSON.stringify(Array.from(indices.data, Number)));
const { signals: decoded } = await (await open("decoder")).run({ indices });
const [, , rows, columns] = decoded.dims;
const back = Buffer.alloc(bytes.length);
for (let at = 0; at < bytes.length; at++) {
  const [channel, place] = [at % channels, Math.floor(at / channels)];
  const [row, column] = [Math.floor(place / width), place % width];
  back[at] = Math.round(255 * decoded.data[(channel * rows + row) * columns + column]);
}
process.stdout.write(back);
