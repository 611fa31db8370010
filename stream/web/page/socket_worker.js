// The thread that a ThreadSocket lives in: opens one WebSocket, and passes on what comes and goes.

let socket;

function open({ url, protocol }) {
  socket = new WebSocket(url, protocol);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => postMessage("open");
  socket.onmessage = ({ data }) => postMessage(data, [data]);
  socket.onclose = ({ code, reason }) => postMessage({ code, reason });
}

const nobody = new Int32Array(new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }).buffer);

/** Sleep, and with it everything on this thread: nothing is read from the socket meanwhile. */
function sleep(ms) {
  Atomics.wait(nobody, 0, 0, ms);
}

function stall({ request, times, everyMs }) {
  for (let i = 0; i < times; i++) {
    socket.send(request);
    sleep(everyMs);
  }
}

onmessage = ({ data }) => {
  if (data.url) open(data);
  else if (data.times) stall(data);
  else if (data.close) socket.close(data.close);
  else socket.send(data);
};
