"""A TCP proxy between peers that spoils their links: a process of its own, told what to do line by line.

    python3 proxy.py '{"listen": "10.77.0.2", "targets": {"worker1": ["10.77.0.11", 9001, 9101]}, "sources": {...}}'

Standard input takes `{"from": A, "to": B, "fault": F, "value": X}`; from and to are names. Faults of a direction:
delay (seconds at most; each connection draws its own share, so that connections overtake each other), hole (bytes wait
until it is mended), reset (the next bytes are cut in their middle and the connection is reset), none."""

import asyncio
import json
import random
import socket
import struct
import sys

CHUNK = 65_536
WAITING_CHUNKS = 64


class Directions:
    """What is wrong with each direction now."""

    def __init__(self):
        self.faults = {}
        self.changed = asyncio.Condition()

    def get(self, direction, fault):
        return self.faults.get((direction, fault), 0)

    async def set(self, direction, fault, value):
        async with self.changed:
            self.faults[direction, fault] = value
            self.changed.notify_all()

    async def passable(self, direction):
        async with self.changed:
            await self.changed.wait_for(lambda: not self.get(direction, "hole"))


class Pump:
    """One direction of one connection. Bytes leave in order, each chunk when its delay is over."""

    def __init__(self, directions, direction, reader, writer, reset):
        self.directions, self.direction, self.reset = directions, direction, reset
        self.reader, self.writer = reader, writer
        self.share = random.random()
        self.queue = asyncio.Queue(WAITING_CHUNKS)

    async def take(self):
        clock = asyncio.get_running_loop()
        while data := await self.reader.read(CHUNK):
            delay = self.directions.get(self.direction, "delay") * self.share
            await self.queue.put((clock.time() + delay, data))
        await self.queue.put((0, b""))

    async def give(self):
        clock = asyncio.get_running_loop()
        while True:
            due, data = await self.queue.get()
            if due > clock.time():
                await asyncio.sleep(due - clock.time())
            await self.directions.passable(self.direction)
            if not data:
                return
            if self.directions.get(self.direction, "reset"):
                await self.directions.set(self.direction, "reset", 0)
                self.writer.write(data[:random.randrange(len(data))])
                await self.writer.drain()
                self.reset()
                return
            self.writer.write(data)
            await self.writer.drain()


async def serve(directions, names, target, address, reader, writer):
    """One connection, from whoever it is to `target`."""
    source = names.get(writer.get_extra_info("peername")[0], "?")
    try:
        await directions.passable((source, target))
        far_reader, far_writer = await asyncio.open_connection(*address)
    except OSError:
        writer.transport.abort()
        return

    def reset():
        for transport in (writer.transport, far_writer.transport):
            transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()

    pumps = [Pump(directions, (source, target), reader, far_writer, reset),
             Pump(directions, (target, source), far_reader, writer, reset)]
    tasks = [asyncio.create_task(work()) for pump in pumps for work in (pump.take, pump.give)]
    try:
        await asyncio.wait([tasks[1], tasks[3]], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for stream in (writer, far_writer):
            stream.close()


async def main():
    settings = json.loads(sys.argv[1])
    directions, names = Directions(), {address: name for name, address in settings["sources"].items()}
    for target, (host, port, listen) in settings["targets"].items():
        await asyncio.start_server(
            lambda reader, writer, target=target, address=(host, port):
                serve(directions, names, target, address, reader, writer),
            settings["listen"], listen)
    print("ready", flush=True)
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := await commands.readline():
        command = json.loads(line)
        await directions.set((command["from"], command["to"]), command["fault"], command["value"])


if __name__ == "__main__":
    asyncio.run(main())
