// Puts the page together: which part hears from which.

import { renderNodeChoice, renderNodes } from "./nodes.js";
import { refreshKeys, selectKey, startKeys } from "./keys.js";
import { readKey, startRead } from "./read.js";
import { renderOverview, showConnection } from "./overview.js";
import { renderPartitions, startPartitions } from "./partitions.js";
import { startEvents } from "./events.js";
import { startWrite } from "./write.js";
import { renderAlarm, startAlarm } from "./work.js";
import { watchState } from "./live.js";
import { byId } from "./dom.js";

function showKey(key) {
  selectKey(key);
  readKey(key);
  byId("read-title").scrollIntoView({ block: "nearest" });
}

startWrite({ onWritten: refreshKeys });
startRead({ onRead: selectKey, onDeleted: refreshKeys });
startKeys({ onKey: showKey });
startPartitions();
startEvents();
startAlarm();
watchState({
  onConnection: showConnection,
  onState: (state) => {
    renderOverview(state);
    renderAlarm(state);
    renderNodes(state);
    renderNodeChoice(state);
    renderPartitions(state);
  },
});
